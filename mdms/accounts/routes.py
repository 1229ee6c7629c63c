"""The front page, and the way in and out for the utility's users."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from ..store import Store
from .sessions import CUSTOMER, sign_in_user, sign_out, who
from .users import AUDITOR, OPERATOR, SUPPLIER, check_password

HOME = {
    SUPPLIER: "supplier.overview",
    OPERATOR: "operator.fleet",
    AUDITOR: "auditor.release_log",
    CUSTOMER: "portal.home",
}
PER_ADDRESS = "30 per minute"
PER_NAME = "10 per minute; 100 per hour"


def _name_tried() -> str:
    return f"{get_remote_address()} {request.form.get('name', '')[:64]}"


def account_routes(store: Store, limiter: Limiter) -> Blueprint:
    """Return the blueprint of the front page, of signing in and of signing out."""
    routes = Blueprint("accounts", __name__)

    @routes.get("/")
    def front() -> ResponseReturnValue:
        person = who()
        return redirect(url_for(HOME[person.role])) if person else render_template("front.html")

    @routes.get("/login")
    def login() -> ResponseReturnValue:
        return render_template("login.html", wrong=False)

    @routes.post("/login")
    @limiter.limit(PER_ADDRESS)
    @limiter.limit(PER_NAME, key_func=_name_tried)
    def log_in() -> ResponseReturnValue:
        user = check_password(store, request.form.get("name", ""), request.form.get("password", ""))
        if user is None:
            return render_template("login.html", wrong=True), 403
        sign_in_user(user)
        return redirect(url_for(HOME[user.role]), 303)

    @routes.post("/logout")
    def logout() -> ResponseReturnValue:
        sign_out()
        return redirect(url_for("accounts.front"), 303)

    return routes
