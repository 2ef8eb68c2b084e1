"""How a call has ended, for people."""

from __future__ import annotations

from palaver import CallEnded, Outcome, Reason, Rejection, Side, reason_name

from .parties import Party


def say_ended(one: Party, notice: CallEnded) -> str:
    """Say how a call has ended."""
    ours = notice.by is Side.LOCAL
    match notice.outcome:
        case Outcome.INACTIVE:
            return f"{one.who} is inactive: nobody who is here has that name or id"
        case Outcome.ALREADY:
            if one.is_me:
                return "That is you"
            doing = "calling" if one.is_called else "talking with"
            return f"You are {doing} {one.who} already"
        case Outcome.REJECTED if ours:
            return f"You have turned {one.who} down"
        case Outcome.REJECTED:
            busy = {
                Rejection.BUSY: f"{one.who} is busy",
                Rejection.NOT_ME: f"{one.who} is not at that address any more; call again",
            }
            return busy.get(_rejection(notice.reason), f"{one.who} does not want to talk")
        case Outcome.CANCELLED:
            return f"You have given up calling {one.who}" if ours else f"{one.who} has given up"
        case Outcome.NO_ANSWER:
            return f"{one.who} did not answer"
        case Outcome.TERMINATED:
            return (
                f"You ended the conversation with {one.who}"
                if ours
                else f"{one.who} ended the conversation"
            )
        case Outcome.GONE:
            why = {
                Reason.DEAD: "does not answer any more",
                Reason.RESET: "was restarted",
            }.get(_reason(notice.reason), f"is gone ({reason_name(notice.reason)})")
            return f"{one.who} {why}"


def _rejection(code: int) -> Rejection:
    return Rejection(code) if code in {int(one) for one in Rejection} else Rejection.DECLINED


def _reason(code: int) -> Reason:
    return Reason(code) if code in {int(one) for one in Reason} else Reason.LEFT
