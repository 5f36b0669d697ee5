"""Takes access logs: appends the lines of each log to a file that is named after it; see README.md."""

import threading
from pathlib import Path

import grpc
import plugin

# Made of the .proto file, which lies beside this one, when the program starts.
messages, services = grpc.protos_and_services("access_log.proto")


def main():
    parser = plugin.arguments()
    parser.add_argument("--folder", type=Path, required=True, help="where the files are")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    plugin.run(lambda server: services.add_AccessLogServicer_to_server(Files(options.folder), server), options.listen)


class Files(services.AccessLogServicer):
    def __init__(self, folder):
        self.folder, self.lock = folder, threading.Lock()
        # Of each run of a log the number of the next line.
        self.next = {}

    def Write(self, request, context):
        # Names are the configuration's, and no paths.
        if "/" in request.log or request.log.startswith("."):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{request.log!r} cannot be a file's name")
        with self.lock:
            run = request.log, request.run
            # A batch whose answer was lost comes again, with the same numbers.
            known = max(0, min(self.next.get(run, 1) - request.first, len(request.lines)))
            with open(self.folder / f"{request.log}.log", "ab") as file:
                file.writelines(line + b"\n" for line in request.lines[known:])
            self.next[run] = max(self.next.get(run, 1), request.first + len(request.lines))
        return messages.WriteResponse()


if __name__ == "__main__":
    main()
