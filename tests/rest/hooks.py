"""What a schema cannot say, for schemathesis: a pickup is in the weeks to come, a deadline behind it, and the
account exists. Only what is good already is changed, so what is meant to be wrong stays wrong."""
import datetime
import re

import schemathesis

START = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def time_of(text):
    try:
        return datetime.datetime.fromisoformat(text) if isinstance(text, str) and "T" in text else None
    except ValueError:
        return None


def written(time):
    return time.isoformat().replace("+00:00", "Z")


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict):
        return body
    pickup, deadline = time_of(body.get("pickupTime")), time_of(body.get("deadline"))
    if pickup and deadline:
        hours = 2 + (pickup.minute * 60 + pickup.second + pickup.year) % 500
        body["pickupTime"] = written(START + datetime.timedelta(hours=hours))
        body["deadline"] = written(START + datetime.timedelta(hours=hours + 1 + deadline.hour))
    owner = body.get("owner")
    account = owner.get("accountId") if isinstance(owner, dict) else None
    if isinstance(account, str) and re.fullmatch(r"[A-Za-z0-9._:/-]{1,64}", account):
        owner["accountId"] = f"account-{sum(map(ord, account)) % 200 + 1}"
    return body
