"""What every response tells the browser: nothing but this server's own files, in no other page's frame."""

from flask import Flask, Response, request

# No script or style inline, none from elsewhere: what an attacker writes into a page does not run.
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect", "font")),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STATIC = ("pages.static", "reference.static")
A_YEAR = 365 * 86_400


def send_headers(app: Flask, secure: bool) -> None:
    """Add the headers to every response; ``secure`` also keeps browsers on HTTPS from then on (RFC 6797)."""

    @app.after_request
    def add(response: Response) -> Response:
        response.headers.update(HEADERS)
        if secure:
            response.headers["Strict-Transport-Security"] = f"max-age={A_YEAR}"
        if request.endpoint not in STATIC:
            response.headers["Cache-Control"] = "no-store"
        return response
