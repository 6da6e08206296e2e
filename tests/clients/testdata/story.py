"""A day of two people with slixmpp: story.py HOST PORT DOMAIN PASSWORD CA-FILE.

Sign-in over STARTTLS, roster, subscriptions, chat, archive by pages, a cut stream resumed, small requests.
"""

import asyncio
import sys

import slixmpp
from slixmpp.exceptions import IqError

from people import Person, check, run, say, wait_for


async def roster(ada, bob):
    """RFC 6121 §2 and §3."""
    ada.update_roster(bob.boundjid.bare, name="Bob", groups=["Team", "Friends & <others>"])
    ada.update_roster("stranger@" + ada.boundjid.domain, name="Nobody")
    await wait_for("ada's roster has two contacts",
                   lambda: {bob.boundjid.bare, "stranger@" + ada.boundjid.domain} <= set(ada.client_roster.keys()))
    item = ada.client_roster[bob.boundjid.bare]
    await wait_for("groups came back as they were sent", lambda: sorted(item["groups"]) == ["Friends & <others>", "Team"])

    for person, other in ((ada, bob), (bob, ada)):
        person.send_presence_subscription(pto=other.boundjid.bare)
        await wait_for("%s is asked by %s" % (other.name, person.name), lambda: other.had("presence_subscribe") > 0)
        other.send_presence_subscription(pto=person.boundjid.bare, ptype="subscribed")
        await wait_for("%s is approved" % person.name, lambda: person.had("presence_subscribed") > 0)
    await wait_for("both see each other: subscription 'both'",
                   lambda: ada.client_roster[bob.boundjid.bare]["subscription"] == "both"
                   and bob.client_roster[ada.boundjid.bare]["subscription"] == "both")

    bob.send_presence(pshow="away", pstatus="drinking tea ☕", ppriority=3)

    def away():
        known = ada.client_roster.presence(bob.boundjid.bare)
        return any(p["show"] == "away" and p["status"] == "drinking tea ☕" for p in known.values())
    await wait_for("ada sees that bob is away", away)

    ada.update_roster(bob.boundjid.bare, name="Robert", groups=["Team"])
    await wait_for("the contact has another name", lambda: ada.client_roster[bob.boundjid.bare]["name"] == "Robert")
    await ada.del_roster_item("stranger@" + ada.boundjid.domain)
    await ada.get_roster()
    # slixmpp keeps a removed contact in memory, with subscription "remove" or "none" and no name.
    check("the stranger is removed", ada.client_roster["stranger@" + ada.boundjid.domain]["subscription"] in ("remove", "none"))


async def chat(ada, bob):
    texts = ["hello", "<b>&amp; 'quotes' \"and\" ]]> all</b>", "héllo wörld 👩‍👩‍👧", "  leading and trailing  ", "line\nbreak\ttab"]
    for text in texts:
        ada.send_message(mto=bob.boundjid.bare, mbody=text, mtype="chat")
    await wait_for("bob got %d messages as they were written" % len(texts),
                   lambda: bob.bodies(ada.boundjid.bare)[-len(texts):] == texts)
    bob.send_message(mto=ada.boundjid.full, mbody="answer to the full address", mtype="chat")
    await wait_for("ada got the answer", lambda: "answer to the full address" in ada.bodies(bob.boundjid.bare))
    check("messages carry the archive's id",
          all(m.xml.find("{urn:xmpp:sid:0}stanza-id") is not None for m in bob.arrived))


async def archive(ada, bob):
    """XEP-0313 with XEP-0059."""
    for i in range(40):
        sender, to = (ada, bob) if i % 2 else (bob, ada)
        sender.send_message(mto=to.boundjid.bare, mbody="number %d" % i, mtype="chat")
        await asyncio.sleep(0)
    await wait_for("ada got her twenty", lambda: sum(b.startswith("number ") for b in ada.bodies()) == 20)
    await wait_for("bob got his twenty", lambda: sum(b.startswith("number ") for b in bob.bodies()) == 20)

    async def read(person, **how):
        found = []
        async for msg in person["xep_0313"].iterate(**how):
            found.append((msg["mam_result"]["id"], msg["mam_result"]["forwarded"]["stanza"]["body"]))
        return found

    forward = await read(ada, rsm={"max": 7})
    say("ada's archive: %d messages in pages of 7" % len(forward))
    check("46 messages: 5 and an answer, 40 numbers", len(forward) == 46)
    check("no id comes twice", len({i for i, _ in forward}) == 46)
    numbers = [b for _, b in forward if b.startswith("number ")]
    for parity in (0, 1):
        mine = [b for b in numbers if int(b.split()[1]) % 2 == parity]
        check("the numbers of sender %d are in order" % parity, mine == ["number %d" % i for i in range(parity, 40, 2)])
    backward = await read(ada, reverse=True, rsm={"max": 9})
    check("paging backwards finds the same", sorted(backward) == sorted(forward))
    others = await read(bob, with_jid=ada.boundjid.bare, rsm={"max": 10})
    check("bob's archive with ada has the same ids", [i for i, _ in others] == [i for i, _ in forward])
    nobody = await read(bob, with_jid="nobody@" + bob.boundjid.domain, rsm={"max": 10})
    check("with nobody there is nothing", nobody == [])
    live = {m["body"]: m.xml.find("{urn:xmpp:sid:0}stanza-id").get("id") for m in bob.arrived}
    check("ids in the archive are those of the messages", all(live[b] == i for i, b in others if b in live))


async def resume(ada, bob):
    """XEP-0198 §5: bob's line is cut, ada goes on writing, bob resumes."""
    check("bob's stream may be resumed", bob["xep_0198"].sm_id is not None)
    first = len(bob.arrived)
    gone = bob.had("disconnected")
    bob.abort()
    await wait_for("bob's line is cut", lambda: bob.had("disconnected") > gone)
    for i in range(10):
        ada.send_message(mto=bob.boundjid.bare, mbody="missed %d" % i, mtype="chat")
    start = bob.had("session_start")
    bob.dial()
    await wait_for("bob's stream is resumed", lambda: bob.had("session_resumed") == 1)
    ada.send_message(mto=bob.boundjid.bare, mbody="after", mtype="chat")
    await wait_for("bob got what came after", lambda: "after" in bob.bodies())
    check("what was missed came exactly once, in order",
          [m["body"] for m in bob.arrived[first:]] == ["missed %d" % i for i in range(10)] + ["after"])
    check("there was no new session", bob.had("session_start") == start)
    bob.send_message(mto=ada.boundjid.bare, mbody="I am back", mtype="chat")
    await wait_for("ada hears bob on the resumed stream", lambda: "I am back" in ada.bodies())


async def small(ada, bob):
    server = ada.boundjid.domain
    rtt = await ada["xep_0199"].ping(server)
    check("the server answers pings", rtt >= 0)
    info = await ada["xep_0030"].get_info(jid=ada.boundjid.bare)
    check("the account has an archive (disco)", "urn:xmpp:mam:2" in info["disco_info"]["features"])
    version = await ada["xep_0092"].get_version(server)
    check("the server has a name: %s %s" % (version["software_version"]["name"], version["software_version"]["version"]),
          version["software_version"]["name"] != "")
    clock = await ada["xep_0202"].get_entity_time(server)
    utc = clock.xml.find(".//{urn:xmpp:time}utc").text  # slixmpp 1.8 does not parse what XEP-0202 prescribes
    check("the server has the time: %s" % utc, utc.endswith("Z"))
    card = ada["xep_0054"].make_vcard()
    card["FN"] = "Ada Lovelace"
    await ada["xep_0054"].publish_vcard(vcard=card)
    got = await bob["xep_0054"].get_vcard(jid=ada.boundjid.bare)
    check("bob reads ada's card", got["vcard_temp"]["FN"] == "Ada Lovelace")
    await bob["xep_0191"].block(ada.boundjid.bare)
    failed = []
    ada.add_event_handler("message_error", failed.append)
    ada.send_message(mto=bob.boundjid.bare, mbody="blocked", mtype="chat")
    await wait_for("who is blocked is told service-unavailable",
                   lambda: [m["error"]["condition"] for m in failed] == ["service-unavailable"])
    await bob["xep_0191"].unblock(ada.boundjid.bare)
    try:
        await ada["xep_0092"].get_version("elsewhere.example")
        check("foreign domains are refused", False)
    except IqError as e:
        check("foreign domains are refused: %s" % e.condition, e.condition == "remote-server-not-found")


async def wrong_password(server, domain, ca):
    eve = Person("eve", "ada@" + domain, "wrong", server, ca)
    failed = []
    eve.add_event_handler("failed_all_auth", failed.append)
    eve.dial()
    await wait_for("a wrong password is refused", lambda: len(failed) > 0)
    await eve.disconnect()


async def main():
    host, port, domain, password, ca = sys.argv[1:]
    server = (host, int(port))
    say("slixmpp %s against %s on %s:%s" % (slixmpp.__version__, domain, host, port))
    ada = Person("ada", "ada@%s/desk" % domain, password, server, ca)
    bob = Person("bob", "bob@%s/phone" % domain, password, server, ca, "SCRAM-SHA-256")
    for person in (ada, bob):
        await person.sign_in()
        check("%s is on TLS" % person.name, person.had("tls_success") == 1)
        say("%s signed in with %s" % (person.name, person["feature_mechanisms"].mech.name))
        await person.get_roster()
        person.send_presence()
        await wait_for("%s has stream management" % person.name, lambda: person.had("sm_enabled") == 1)
    check("bob signed in with SCRAM", bob["feature_mechanisms"].mech.name == "SCRAM-SHA-256")
    await roster(ada, bob)
    await chat(ada, bob)
    await archive(ada, bob)
    await resume(ada, bob)
    await small(ada, bob)
    await wrong_password(server, domain, ca)
    await ada.leave()
    await bob.leave()


run(main)
