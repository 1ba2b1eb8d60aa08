"""Runs one program many times without importing it each time: python fork.py with_curator

Reads a job a line, `{"cwd": …, "env": {…}, "args": […], "log": …}`, forks the program in that folder, in a session of its own, and
prints the process's id, then its status when it ends. Only for faults; what is timed starts anew.
"""

import importlib
import json
import os
import sys
import traceback


def become(main, job: dict) -> int:
    "The status of the program that this process is from now on"
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for fd in (1, 2):
        os.dup2(log, fd)
    os.chdir(job["cwd"])
    os.environ.update(job["env"])
    try:
        main(*job["args"])
        return 0
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1


def serve(main):
    for line in sys.stdin:
        if pid := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            continue
        os.setsid()  # before its id is known, so that it can be killed with all its processes
        print(os.getpid(), flush=True)
        sys.stdin = open(os.devnull)
        status = become(main, json.loads(line))
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    program = importlib.import_module(sys.argv[1])
    getattr(program, "warm", lambda: None)()
    print("ready", flush=True)
    serve(program.main)
