"""Every answer that is no reply of the model: errors, the list of models, the line in the log.

All three formats' clients read the same shapes here, so none of this is told apart by format.
"""

from scripted.conversation import Cut, Hang, Json, Refuse, Reply, Request, Say

MODEL = "scripted-1"
PROMPT_CHARACTERS_LOGGED = 160
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
RETRIABLE = frozenset({429, 529})


def error(status: int, message: str = "") -> Json:
    """The body of an HTTP error."""
    kind = ERRORS.get(status, "api_error")
    told = {"type": kind, "message": message or f"scripted {kind}", "code": kind}
    return {"type": "error", "error": told}


def models() -> Json:
    """The list of models, which is one."""
    named = {"id": MODEL, "object": "model", "type": "model", "display_name": MODEL}
    dated = named | {"created_at": "2025-01-01T00:00:00Z"}
    return {"object": "list", "data": [dated], "has_more": False}


def logged(request: Request, reply: Reply) -> Json:
    """What the log tells about a request: enough to see which step of which script was played."""
    tool = reply.tool if isinstance(reply, Say) else None
    return {
        "model": request.model,
        "stream": request.is_streamed,
        "prompts": len(request.prompts),
        "calls": request.replies,
        "last": request.newest[:PROMPT_CHARACTERS_LOGGED],
        "tools": sorted(request.tools),
        "kind": kind(reply),
        "tool": tool.name if tool else None,
    }


def kind(reply: Reply) -> str:
    """One word for a reply."""
    match reply:
        case Say(tool=tool):
            return "tool" if tool else "text"
        case Refuse():
            return "http"
        case Cut(is_garbled=is_garbled):
            return "badsse" if is_garbled else "drop"
        case Hang():
            return "hang"
