"""The process in which files are parsed: requests on stdin, answers on stdout, limits that it cannot lift.

A request is one line of JSON, `{"format", "size", "charset"}`, and `size` bytes of the file. An answer is one line of
JSON: `{"parts", "paged", "title", "hidden", "form"}` or `{"refused": reason}`. The process is given bytes, not paths;
no secret stands in its environment, and it can write no file.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

from retrieval.documents.readers.extract import TOO_LONG, Extract, Limits, Refused

INSTALL = "install it: pip install 'brandvoice[docs]'"


def main() -> None:
    """Answer requests until stdin ends; the limits are the first argument, as JSON."""
    limits = Limits(**json.loads(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints must not stand between the answers.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    requests = sys.stdin.buffer
    _confine(limits)
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["size"])
        answers.write(json.dumps(_answer(request, data, limits)).encode() + b"\n")
        answers.flush()


def _confine(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # openpyxl would load it for its types: 100 ms and a pool of threads.
    sys.modules["numpy"] = None  # type: ignore[assignment]


def _answer(request: dict[str, Any], data: bytes, limits: Limits) -> dict[str, Any]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    # The limit counts from the start of the process: each file gets its own share.
    until = int(used.ru_utime + used.ru_stime) + limits.cpu_seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
    try:
        extract = _reader(request)(data, limits)
    except Refused as refusal:
        return {"refused": str(refusal)}
    except MemoryError:
        return {"refused": f"needs more than {limits.memory_bytes / 1e6:,.0f} MB of memory", "spent": True}
    except RecursionError:
        return {"refused": "nested too deeply"}
    except ModuleNotFoundError as error:
        return {"refused": f"needs {error.name}, which is not installed; {INSTALL}"}
    except Exception as error:
        # Libraries raise anything over damaged files.
        return {"refused": f"damaged ({type(error).__name__}: {' '.join(str(error).split())[:200]})"}
    if sum(map(len, extract.parts)) > limits.chars:
        return {"refused": TOO_LONG}
    return {
        "parts": extract.parts,
        "paged": extract.paged,
        "title": extract.title,
        "hidden": dict(extract.hidden),
        "form": extract.form,
    }


def _reader(request: dict[str, Any]) -> Callable[[bytes, Limits], Extract]:
    """The reader of a format; each is imported when it is first needed."""
    match request["format"]:
        case "html":
            from retrieval.documents.readers.html import read_html

            charset = request.get("charset")
            return lambda data, limits: read_html(data, limits, charset)
        case "pdf":
            from retrieval.documents.readers.pdf import read_pdf

            return read_pdf
        case "office":
            from retrieval.documents.readers.office import read_office

            return read_office
        case "csv":
            from retrieval.documents.readers.faq import read_csv

            return read_csv
        case "json":
            from retrieval.documents.readers.faq import read_json

            return read_json
        case "sitemap":
            from retrieval.documents.readers.sitemap import read_sitemap

            return read_sitemap
        case other:
            raise Refused(f"no reader for {other!r}")


if __name__ == "__main__":
    main()
