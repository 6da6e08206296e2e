"""A conversation with the organisation's bot in slixmpp: bot.py HOST PORT DOMAIN PASSWORD CA-FILE.

The client knows no quick responses: the plain text is enough. The conversation is begun on one device and ended on
another, and the archive has all of it.
"""

import re
import sys

from people import Person, check, run, wait_for

QUICK = "{urn:xmpp:tmp:quick-response}"


async def main():
    host, port, domain, password, ca = sys.argv[1:6]
    bot = "bot@" + domain

    def person(name):
        return Person(name, "ada@" + domain, password, (host, int(port)), ca)

    phone = person("phone")
    await phone.sign_in()
    phone.send_presence()
    phone.get_roster()

    def last(who):
        texts = who.bodies(bot)
        return texts[-1] if texts else ""

    async def answer(who, text, expect):
        before = len(who.bodies(bot))
        who.send_message(mto=bot, mbody=text, mtype="chat")
        await wait_for("%r is followed by %r" % (text, expect), lambda: any(expect in b for b in who.bodies(bot)[before:]))

    await wait_for("the first question is there", lambda: "How have you been feeling" in last(phone))
    check("who reads the answers was told before", any("who reads this" in b for b in phone.bodies(bot)[:-1]))
    question = phone.arrived[-1].xml
    check("there are buttons for those who have them", [r.get("value") for r in question.iter(QUICK + "response")][:5] == list("12345"))
    check("the text lists the answers, too", all(re.search(r"^%d\b" % n, last(phone), re.M) for n in range(1, 6)))

    await answer(phone, "no idea what you mean", "I did not quite get that")
    await answer(phone, "4", "What has had most to do with it?")
    await answer(phone, "1 and 2", "How well can you manage your work")
    await answer(phone, "edit my last answer", "What has had most to do with it?")
    await answer(phone, "2", "How well can you manage your work")
    await phone.leave()

    laptop = person("laptop")
    await laptop.sign_in()
    laptop.send_presence()
    await answer(laptop, "3", "How freely can you say")
    await answer(laptop, "4", "seen and valued")
    await answer(laptop, "skip", "recommend working here")
    await answer(laptop, "9", "main reason for your 9")
    await answer(laptop, "The people are great, I like my team", "Last question")
    await answer(laptop, "Better coffee", "Thank you for your time")
    await answer(laptop, "by the way, my bicycle is gone", "I am only a program")

    texts = []
    async for msg in laptop["xep_0313"].iterate(with_jid=bot, rsm={"max": 10}):
        texts.append(msg["mam_result"]["forwarded"]["stanza"]["body"])
    check("the archive begins with the greeting", "I have a few short questions" in texts[0])
    check("the archive has each answer once", all(texts.count(t) == 1 for t in ("1 and 2", "skip", "9", "Better coffee")))
    check("the last question was asked once", sum("Last question" in t for t in texts) == 1)
    await laptop.leave()


run(main)
