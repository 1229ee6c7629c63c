"""A board's interpreter on MicroPython's unix port: `micropython raw_repl_worker.py ROOT main|none`.

ROOT becomes the whole file system. With ``main``, main.py runs first, as after power-up; a Ctrl-C, an end or an
exception of it leads to the loop below. There, on stdin: `L<length>\n` and so many bytes of code; on stdout: what it
prints, 0x04, its traceback if any, 0x04, as the raw REPL answers. ``machine.reset`` ends the process with status 75.
"""

import os
import sys

import vfs

RESET = 75


class Machine:
    """What this port's machine module lacks."""

    @staticmethod
    def reset():
        sys.exit(RESET)

    soft_reset = reset


def serve():
    names = {"__name__": "__main__"}
    while True:
        try:
            head = sys.stdin.buffer.readline()
            if not head:
                return
            if head[:1] != b"L":
                continue  # typed before the tool came
            code = sys.stdin.buffer.read(int(head[1:]))
        except KeyboardInterrupt:
            continue
        try:
            exec(code, names)
            sys.stdout.write("\x04")
        except SystemExit:
            raise
        except BaseException as error:
            sys.stdout.write("\x04")
            sys.print_exception(error, sys.stdout)
        sys.stdout.write("\x04")


def run_main():
    try:
        print("boot")
        with open("main.py") as file:
            code = file.read()
        exec(code, {"__name__": "__main__"})
    except OSError as error:
        if error.errno != 2:
            sys.print_exception(error, sys.stdout)
    except SystemExit:
        raise
    except BaseException as error:
        sys.print_exception(error, sys.stdout)


sys.modules["machine"] = Machine
root, first = sys.argv[1:]
vfs.umount("/")
vfs.mount(vfs.VfsPosix(root), "/")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
if first == "main":
    run_main()
sys.stdout.write("MicroPython stand-in; unix port\n>>> ")
serve()
