"""What it means when the MDMS cannot be reached or does not take a report, and what the operator does next. No I/O."""

import http.client
import socket
import ssl

# What OpenSSL calls X509_V_ERR_..., by number.
CERTIFICATE = {
    9: "the MDMS's certificate is not valid yet: compare this machine's clock with the right time",
    10: "the MDMS's certificate has expired: have it renewed, or compare this machine's clock with the right time",
    18: "the MDMS's certificate is signed by itself: install it as trusted (SSL_CERT_FILE), or correct 'mdms_url'",
    19: "the MDMS's certificate is of an authority that this machine does not trust: install that authority's"
    " certificate (SSL_CERT_FILE), or correct 'mdms_url' if this is a stranger",
    20: "the MDMS's certificate is of an authority that this machine does not know: install that authority's"
    " certificate (SSL_CERT_FILE), or let the MDMS send its whole chain",
    21: "the MDMS's certificate cannot be verified: let the MDMS send its whole chain",
    23: "the MDMS's certificate has been revoked: do not send; ask the MDMS's operator",
    62: "the MDMS's certificate is for another name: correct 'mdms_url' or the certificate; a stranger may answer",
    64: "the MDMS's certificate is for another address: correct 'mdms_url' or the certificate; a stranger may answer",
}
STATUS = {
    400: "it does not understand the batch: is it of another version?",
    401: "something before the MDMS wants a login: correct 'mdms_url'",
    403: "something before the MDMS forbids it: has this concentrator been revoked?",
    404: "there is no MDMS at that path: correct 'mdms_url'",
    409: "it holds something else in this place: stop nothing, keep the ledger, and compare with the MDMS's operator",
    413: "a proxy before it takes smaller bodies: let it take a mebibyte",
    415: "something changes what is sent on its way: correct the proxy before it",
    429: "it is asked too often: nothing to do, it is tried again later",
    500: "it has failed: its own log says why",
    502: "the proxy before it does not reach it: is the MDMS running?",
    503: "it is busy or being serviced: nothing to do unless it lasts",
    504: "the proxy before it waits in vain: is the MDMS running?",
}
CONFLICT = (
    "the MDMS holds another report for the same interval, window or row: two concentrators serve one neighbourhood, or"
    " an old ledger was put back. Stop the wrong one; the first report stays"
)
REFUSED = "the MDMS will never take it: compare the rosters and keys of both sides and correct the cause"
# The reasons that mdms/ingest gives.
REASONS = {
    "unknown concentrator": "no roster of the MDMS names this concentrator's key: it was revoked, or the MDMS lacks the"
    " roster. Give the MDMS its roster, or enrol this concentrator again",
    "wrong concentrator for this neighbourhood": "another concentrator serves the neighbourhood now: stop this one, or"
    " sign a roster that names it",
    "unknown roster version": "the MDMS lacks the roster that this concentrator serves by: give it that one",
    "pseudonym not on the roster": "the MDMS's roster does not name the meter: give it the newest roster",
    "wrong paillier key": "the MDMS's roster names another key: give both sides the same roster",
    "bad signature": "the report was changed on its way or on this disk: look for a proxy that rewrites, and at doctor",
}


def unreachable(error: BaseException) -> str:
    """Return why a connection failed and what to do, without anything that the peer sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CERTIFICATE.get(
            error.verify_code, f"the MDMS's certificate is not valid ({error.verify_code}): have it corrected"
        )
    if isinstance(error, ssl.SSLError):
        return "no TLS is spoken at that port, or none that both know: correct 'mdms_url' or the MDMS's TLS"
    if isinstance(error, socket.gaierror):
        return "its name is not found: correct 'mdms_url', or look at this machine's DNS and network"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at its port: start the MDMS, or correct 'mdms_url'"
    if isinstance(error, ConnectionError | http.client.RemoteDisconnected):
        return "it ended the connection: look at the MDMS's log and the network"
    if isinstance(error, TimeoutError):
        return "it did not answer in time: look at the network and the MDMS's load"
    if isinstance(error, OSError):
        return "no way to it: look at this machine's network"
    if isinstance(error, http.client.HTTPException):
        return "what answers there speaks no HTTP: correct 'mdms_url'"
    return "its address cannot be used: correct 'mdms_url'"


def answered(status: int) -> str:
    """Return what an HTTP status other than 200 means and what to do."""
    if status in STATUS:
        return STATUS[status]
    return STATUS[500] if status >= 500 else "something other than an MDMS answers there: correct 'mdms_url'"


def not_taken(verdict: str, reason: str) -> str:
    """Return what the verdict ``conflict`` or ``refused`` means and what to do."""
    return CONFLICT if verdict == "conflict" else REASONS.get(reason, REFUSED)
