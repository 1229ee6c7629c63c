"""Runs the tests that both interpreters share, without pytest: `micropython tests/micropython/run.py [module ...]`.

Prints a line per failure and `N passed, M failed`; exits with 1 after a failure. A module that is missing or holds
no test is a failure.
"""

import sys

ROOT = __file__.rsplit("/", 3)[0] if __file__.count("/") > 2 else "."
for place in ("tests/protocol_both", "tests/firmware", ""):
    sys.path.insert(0, ROOT + "/" + place)

MODULES = (
    "test_both_keychain",
    "test_both_vectors",
    "test_both_wire",
    "test_meter_seal",
    "test_meter_counter",
    "test_meter_accounting",
    "test_meter_loops",
    "test_meter_sampler",
    "test_meter_metrology",
    "test_meter_calibration",
    "test_meter_measuring",
    "test_meter_keys",
    "test_meter_clock",
    "test_meter_store",
    "test_meter_link",
    "test_meter_events",
    "test_meter_lengths",
    "test_meter_instrument",
    "test_meter_console",
    "test_meter_power_cuts",
    "test_meter_flash_cuts",
    "test_meter_unusable",
    "test_meter_lost_configuration",
)


def run_module(name):
    """Return (passed, failed)."""
    try:
        module = __import__(name)
    except Exception as error:
        print("FAILED", name, "cannot be imported:", repr(error))
        return 0, 1
    tests = [each for each in sorted(dir(module)) if each.startswith("test_")]
    if not tests:
        print("FAILED", name, "holds no test")
        return 0, 1
    passed = 0
    for test in tests:
        try:
            getattr(module, test)()
            passed += 1
        except Exception as error:
            print("FAILED", name, test)
            sys.print_exception(error)
    return passed, len(tests) - passed


def main(modules):
    passed = failed = 0
    for name in modules:
        results = run_module(name)
        passed += results[0]
        failed += results[1]
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or MODULES))
