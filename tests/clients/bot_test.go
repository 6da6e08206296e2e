package clients

import (
	"net"
	"slices"
	"testing"

	"github.com/bearhug/bearhug/node"
	"github.com/bearhug/bearhug/ops"
	"github.com/bearhug/bearhug/tests/house"
)

// TestSlixmppBot is a conversation with the bot in slixmpp, and what was kept
// of it.
func TestSlixmppBot(t *testing.T) {
	needSlixmpp(t)
	s := house.New(t, house.Options{People: []string{"ada"}})
	cfg, err := node.Load(node.Sources{Flags: map[string]string{"data": s.Data}})
	if err != nil {
		t.Fatal(err)
	}
	do := func(op string, args, result any) {
		t.Helper()
		if err := node.Do(house.Context(t), cfg, false, ops.Request{Op: op, Args: args}, result); err != nil {
			t.Fatal(err)
		}
	}
	who := node.TalkArgs{JID: s.JID("ada").String(), Flow: "pulse", Language: "en", Name: "Ada", Country: "IE"}
	do("talk.begin", who, nil)
	host, port, err := net.SplitHostPort(s.Addr("c2s"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, python, "bot.py", host, port, s.Domain, house.Password, s.Certificate())
	var kept []node.AnswerLine
	do("talk.answers", who, &kept)
	answers := map[string]node.AnswerLine{}
	for _, a := range kept {
		answers[a.Question] = a
	}
	score := func(q string) int {
		if s := answers[q].Score; s != nil {
			return *s
		}
		return -1
	}
	if score("mood") != 4 || score("workload") != 3 || score("voice") != 4 || score("enps") != 9 || !answers["recognition"].Skipped ||
		!slices.Equal(answers["drivers"].Values, []string{"team"}) || answers["drivers"].Edits != 1 || answers["wish"].Text != "Better coffee" {
		t.Errorf("%+v", kept)
	}
}
