"""`helm test`: makes an axon, publishes, reads back what it published, deletes the axon.

Exits with a sentence when anything is not as promised. RANVIER_API_URL and RANVIER_API_KEY say
where.
"""

import json
import os
import sys
import time
import uuid

import httpx

LOOKS_MAX = 120
LOOK_SECONDS = 0.5


def expect(what, seen, wanted):
    if seen != wanted:
        sys.exit(f"FAILED: {what}: expected {wanted!r}, got {seen!r}")
    print(f"ok: {what}")


def call(api, method, path, **options):
    answer = api.request(method, path, **options)
    if answer.is_error:
        sys.exit(f"FAILED: {method} {path} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()


def wait_until_ready(api):
    for _ in range(LOOKS_MAX):
        try:
            answer = api.get("/readyz")
            if answer.is_success:
                return
            last = f"{answer.status_code} {answer.text[:200]}"
        except httpx.TransportError as error:
            last = repr(error)
        time.sleep(LOOK_SECONDS)
    sys.exit(f"FAILED: {api.base_url} is not ready: {last}")


def round_trip(api):
    name = f"helm-test-{uuid.uuid4().hex[:8]}"
    axon = call(api, "POST", "/v1/axons", json={"name": name})["id"]
    try:
        payloads = [json.dumps({"content": f"{name} {n}", "umlaut": "ü"}) for n in (1, 2, 3)]
        for number, payload in enumerate(payloads, 1):
            event = {
                "origin": "EXTERNAL_EVENT",
                "source": "helm-test",
                "event_type": "test.ping",
                "payload": payload,
            }
            sequence = call(api, "POST", f"/v1/axons/{axon}/publish", json=event)["sequence"]
            expect(f"sequence of event {number}", sequence, number)
        events = call(api, "GET", f"/v1/axons/{axon}/events")["events"]
        events.sort(key=lambda event: event["sequence"])
        expect("sequences read back", [event["sequence"] for event in events], [1, 2, 3])
        expect("payloads read back", [event["payload"] for event in events], payloads)
    finally:
        call(api, "DELETE", f"/v1/axons/{axon}")
    print("ok: axon deleted")


def main():
    key = os.environ["RANVIER_API_KEY"].split()[0]
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=os.environ["RANVIER_API_URL"], headers=headers, timeout=30) as api:
        wait_until_ready(api)
        answer = api.get("/v1/axons", headers={"authorization": "Bearer wrong"})
        expect("a wrong key is refused", answer.status_code, 401)
        round_trip(api)


if __name__ == "__main__":
    main()
