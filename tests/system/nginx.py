"""nginx as a process of a test, with servers that the test gives."""

import socket
import subprocess
import time

from browser import program

from scripts.street import free_port

PATIENCE_S = 30


class Nginx:
    """nginx with everything that it writes in one folder; `port` of loopback is one that its servers listen on."""

    def __init__(self, folder, servers, port):
        places = "".join(
            f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"user root; daemon off; pid {folder / 'nginx.pid'}; error_log {folder / 'error.log'};"
            f" events {{}} http {{ access_log off; {places} {servers} }}"
        )
        command = [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        subprocess.run([*command, "-t"], check=True, capture_output=True, timeout=PATIENCE_S)
        self._run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self._wait(port)

    def _wait(self, port):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "nginx never listened"
                time.sleep(0.05)

    def stop(self):
        self._run.terminate()
        self._run.wait(PATIENCE_S)


class InFront(Nginx):
    """By plain HTTP before a server of loopback, as the browser's `url` for it; `more` are directives of its own."""

    def __init__(self, folder, url, more=""):
        port = free_port()
        self.url = f"http://localhost:{port}"
        target = url.replace("localhost", "127.0.0.1")
        location = f"location / {{ proxy_pass {target}; proxy_set_header Host $http_host; {more} }}"
        super().__init__(folder, f"server {{ listen 127.0.0.1:{port}; {location} }}", port)
