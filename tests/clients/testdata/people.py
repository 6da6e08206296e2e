"""What the slixmpp scripts share: a person who keeps what arrives, and waiting."""

import asyncio
import logging
import sys
import time
from pathlib import Path

import slixmpp

PATIENCE = 60
BEGAN = time.monotonic()


def say(text):
    print("%7.3f  %s" % (time.monotonic() - BEGAN, text), flush=True)


def check(what, is_so):
    if not is_so:
        say("FAILED: " + what)
        sys.exit(1)
    say("ok: " + what)


async def wait_for(what, is_so):
    """Waits until is_so() is true."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            check(what, False)
        await asyncio.sleep(0.01)
    check(what, True)


class Person(slixmpp.ClientXMPP):
    """Someone who signs in and keeps all messages that arrive."""

    def __init__(self, name, jid, password, server, ca, mechanism=None):
        super().__init__(jid, password)
        self.name = name
        self.door = server
        self.ca_certs = Path(ca)  # explicitly: the server signs its own certificate
        self.arrived = []
        self.events = []
        self.auto_authorize = self.auto_subscribe = None
        for plugin in ("xep_0030", "xep_0054", "xep_0059", "xep_0085", "xep_0092", "xep_0184", "xep_0191",
                       "xep_0198", "xep_0199", "xep_0202", "xep_0280", "xep_0313", "xep_0359", "xep_0352"):
            self.register_plugin(plugin)
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("failed_auth", lambda f: say("%s: a mechanism was refused: %s %s" % (name, f["condition"], f["text"])))
        for event in ("session_start", "session_resumed", "sm_enabled", "sm_failed", "disconnected", "tls_success",
                      "roster_update", "presence_subscribe", "presence_subscribed", "presence_available", "stanza_acked"):
            self.add_event_handler(event, lambda data, event=event: self.events.append((event, data)))

        if mechanism:
            # slixmpp 1.8 knows no channel binding but tls-unique, which TLS 1.3 has not; told of none it says so.
            feature = self["feature_mechanisms"]
            credentials = feature.sasl_callback
            feature.sasl_callback = lambda must, may: {**credentials(must, may), "channel_binding": None}
            feature.use_mech = mechanism

    def on_message(self, msg):
        if msg["type"] in ("chat", "normal") and msg["body"]:
            self.arrived.append(msg)

    def bodies(self, sender=None):
        return [m["body"] for m in self.arrived if sender is None or m["from"].bare == sender]

    def had(self, event):
        return sum(1 for e, _ in self.events if e == event)

    def dial(self):
        self.connect(address=self.door)

    async def sign_in(self):
        before = self.had("session_start")
        self.dial()
        await wait_for("%s signs in" % self.name, lambda: self.had("session_start") > before)

    async def leave(self):
        await self.disconnect()
        say("%s left" % self.name)


def run(main):
    logging.basicConfig(level=logging.WARNING, format="         slixmpp: %(levelname)s %(message)s", stream=sys.stdout)
    asyncio.get_event_loop().run_until_complete(asyncio.wait_for(main(), 5 * PATIENCE))
    say("done")
    logging.disable()  # slixmpp leaves tasks pending, and says so
