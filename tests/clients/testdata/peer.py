"""The one who talks with Converse.js: peer.py HOST PORT DOMAIN PASSWORD CA-FILE."""

import asyncio
import sys

from people import Person, check, run, say, wait_for


async def main():
    host, port, domain, password, ca = sys.argv[1:]
    bob = Person("bob", "bob@%s/phone" % domain, password, (host, int(port)), ca, "SCRAM-SHA-256")
    ada = "ada@" + domain
    bob.auto_authorize = bob.auto_subscribe = True
    await bob.sign_in()
    await bob.get_roster()
    bob.send_presence()
    bob.send_presence_subscription(pto=ada)
    await wait_for("ada is here", lambda: any(p["from"].bare == ada for e, p in bob.events if e == "presence_available"))
    bob.send_message(mto=ada, mbody="hello from slixmpp ☕ <&>", mtype="chat")
    await wait_for("ada answers", lambda: bob.bodies(ada))
    text = bob.bodies(ada)[0]
    check("she wrote: " + text, text == "hello from Converse.js 👋 <&>")
    bob.send_message(mto=ada, mbody="thanks, I read: " + text, mtype="chat")
    # The stream is closed behind the message: it has arrived when that is done.
    await bob["xep_0199"].ping(domain)
    check("ada wrote once", len(bob.bodies(ada)) == 1)
    await bob.leave()


run(main)
