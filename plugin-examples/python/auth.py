"""Lets requests pass whose fields have the values that a file names; see README.md."""

import json

import plugin
from plugin import messages


def main():
    parser = plugin.arguments()
    parser.add_argument("-c", dest="config", required=True, help='a file such as {"User": "admin"}')
    options = parser.parse_args()
    with open(options.config, encoding="utf-8") as file:
        expected = {name.lower(): value for name, value in json.load(file).items()}
    plugin.serve(lambda request: decide(expected, request), options.listen)


def decide(expected, request):
    if request.type == "response":
        return messages.Response(header={"X-Checked-By": "python"})
    fields = {name.lower(): value for name, value in request.header.items()}
    # Fields of one name come joined by commas, so that a second one is no match.
    if any(fields.get(name) != value for name, value in expected.items()):
        return messages.Response(status=plugin.DENY)
    # A field that clients must not set is removed by an empty value.
    answer = messages.Response(header={"X-Checked-By": "python", "X-Internal": ""})
    body = request.body
    for value in filter(None, expected.values()):
        body = body.replace(value.encode(), b"***")
    if body != request.body:
        answer.body = body
    return answer


if __name__ == "__main__":
    main()
