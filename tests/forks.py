"""Python programs as forks of one process that has imported what is slow to import.

`synthgen pipeline` spends most of its CPU seconds on imports. Here one process imports
once; a small client, which is what a test starts, hands it arguments, folder, environment and open files, and it forks the program.
To the test the client is the program: its status is the program's, signals reach the program, and a killed client kills it.
"""

import os
import signal
import sys

WARM = """aiohttp IPython.core.formatters lancedb.index lancedb.query litellm.llms.vertex_ai.gemini.transformation
matplotlib.pyplot markdown_it pandas papermill pathspec pyarrow.dataset sklearn.cluster sklearn.decomposition
sklearn.feature_extraction.text""".split()  # and every module of ours


def client(place: str, argv: list[str]) -> int:
    import json
    import socket

    parent = os.getppid()
    s = socket.socket(socket.AF_UNIX)
    s.connect(place)
    job = json.dumps(dict(argv=argv, cwd=os.getcwd(), env=dict(os.environ))).encode()
    socket.send_fds(s, [len(job).to_bytes(4, "big")], [0, 1, 2])
    s.sendall(job)
    for n in (signal.SIGINT, signal.SIGTERM):
        signal.signal(n, lambda n, _: s.send(bytes([n])))
    s.settimeout(0.3)
    while os.getppid() == parent:  # one whose test was killed ends too
        try:
            status = s.recv(1)
        except TimeoutError:
            continue
        return status[0] if status else 70
    return 70


def serve(place: str) -> None:
    import gc
    import json
    import selectors
    import socket

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(64)
    warm()
    gc.freeze()
    os.write(1, b".")
    sel = selectors.DefaultSelector()
    sel.register(0, selectors.EVENT_READ)  # closes when the tests end
    sel.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in sel.select():
            if key.fileobj == 0:
                return
            if key.fileobj is listener:
                conn, _ = listener.accept()
                head, fds, _, _ = socket.recv_fds(conn, 4, 3)
                with conn.makefile("rb", buffering=0) as f:
                    job = json.loads(read(f, int.from_bytes(head, "big")))
                if not (pid := os.fork()):
                    sel.close(), listener.close(), conn.close()
                    become(job, fds)
                for fd in fds:
                    os.close(fd)
                watch = os.pidfd_open(pid)
                sel.register(conn, selectors.EVENT_READ, pid)
                sel.register(watch, selectors.EVENT_READ, (pid, conn))
            elif isinstance(key.data, int):  # a signal, or the end of a client
                said = key.fileobj.recv(1)
                os.kill(key.data, said[0] if said else signal.SIGKILL)
                if not said:
                    sel.unregister(key.fileobj)
            else:
                pid, conn = key.data
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                try:
                    conn.send(bytes([code if code >= 0 else 128 - code]))
                except OSError:
                    pass
                sel.unregister(key.fileobj)
                os.close(key.fileobj)
                if conn in sel.get_map():
                    sel.unregister(conn)
                conn.close()


def read(f, n: int) -> bytes:
    out = b""
    while len(out) < n:
        out += f.read(n - len(out))
    return out


def warm() -> None:
    "Import what is slow"
    import importlib
    import pkgutil
    import warnings

    import synthgen_nb
    from synthgen_nb.core.language import language_of
    from synthgen_nb.core.transport import _litellm
    from synthgen_nb.corpus.store import LANCE

    _litellm()
    language_of("Reads its model.")
    os.environ.update(LANCE)
    warnings.filterwarnings("ignore", "lancedb fork support")  # its loop starts anew in a fork
    own = [m.name for m in pkgutil.walk_packages(synthgen_nb.__path__, "synthgen_nb.") if not m.name.endswith(".serve")]
    for name in [*WARM, *own]:
        importlib.import_module(name)


def become(job: dict, fds: list[int]) -> None:
    "What this process is from now on"
    import atexit
    import threading
    import traceback

    os.setsid()
    for n, fd in enumerate(fds):
        os.dup2(fd, n)
        os.close(fd)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    program, *sys.argv[1:] = job["argv"]
    sys.argv[0] = program
    from synthgen_nb.cli.main import main

    try:
        main()
        status = 0
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    # as an interpreter ends, without taking the modules apart one by one
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    place, *argv = sys.argv[1:]
    sys.exit(client(place, argv) if argv else serve(place))
