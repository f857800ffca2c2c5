#!/usr/bin/python3
"""Measures shutterfs beside what people would use instead, case by case; see README.md here.

Started by contrib/bench, which installs and builds what it needs."""
import argparse
import fnmatch
import os
import platform
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lib")]


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("case", nargs="*", help="names of cases, with * and ?; default: all")
    p.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds, about three minutes")
    p.add_argument("--list", action="store_true", help="the names of the cases")
    p.add_argument("--rtt", type=float, default=20, metavar="MS", help="round-trip time to the store (20)")
    p.add_argument("--shutterfs", required=True, help="the program")
    p.add_argument("--tools", required=True, help="where bench-server and bench-io are")
    p.add_argument("--results", required=True, help="directory for results.md, results.json and results.svg")
    p.add_argument("--scratch", default="/var/tmp", help="where pictures, caches and catalogs go (8 GB)")
    return p.parse_args()


class Late(Exception):
    pass


def run_case(case, world, results):
    """One case within its time; whatever happens, its servers and mounts are gone afterwards."""
    import mount as mounts

    def late(*_):
        mounts.abort_all()
        raise Late(f"not done within {case.limit} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(case.limit)
    start = time.monotonic()
    print(f"== {case.name}: {case.title}", flush=True)
    try:
        case.run(world, results)
    except Exception as e:  # one case's fault is not the others'
        results.failures.append(f"{case.name}: {type(e).__name__}: {e}")
        traceback.print_exc()
    finally:
        signal.alarm(0)
        world.end_case()
    print(f"   {time.monotonic() - start:.0f} s", flush=True)


def about(args, world):
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), "?")
    return {"machine": f"{os.cpu_count()} × {cpu}, Linux {platform.release()}",
            "round-trip time": f"{args.rtt:g} ms", "sizes": "quick" if args.quick else "full",
            "scratch": args.scratch, "rounds": world.sizes.rounds}


def main():
    args = arguments()
    os.environ["SHUTTERFS"] = os.path.abspath(args.shutterfs)
    import cases
    import mount as mounts
    import results as results_module
    import world as worlds
    wanted = [c for c in cases.ALL if not args.case or any(fnmatch.fnmatch(c.name, w) for w in args.case)]
    if args.list or not wanted:
        print("\n".join(f"{c.name:14} {c.title}" for c in cases.ALL))
        return 0 if args.list else 2
    reason = mounts.unfit()
    if reason:
        print(f"cannot mount here: {reason}")
        return 77
    results, world = results_module.Results(), worlds.World(args.tools, args.scratch, args.quick, args.rtt)
    results.about = about(args, world)
    try:
        for case in wanted:
            run_case(case, world, results)
            results.write(args.results)
    finally:
        world.close()
    print(results.markdown())
    print(f"written to {args.results}")
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
