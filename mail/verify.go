package mail

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1" // SNS's first version signs with it
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// webhookAge is how old a signed report may be: providers try for a day. A
// report that is sent again changes nothing, so this only bounds what is kept.
const webhookAge = 25 * time.Hour

// webhookAhead is how far another clock may go ahead of ours.
const webhookAhead = 15 * time.Minute

// errSignature says no more: who guesses learns nothing.
var errSignature = errors.New("the signature of the report is wrong")

// inTime checks the time that a signature covers, seconds since 1970.
func inTime(seconds string, now time.Time) error {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		return errSignature
	}
	if age := now.Sub(time.Unix(n, 0)); age > webhookAge || age < -webhookAhead {
		return fmt.Errorf("the report is %s old; its signature is not taken any more", age.Round(time.Second))
	}
	return nil
}

// VerifyMailgun checks the signature in a report of Mailgun with the webhook
// signing key: HMAC-SHA256 over timestamp and token. It does not cover the
// event itself: who has seen one signature can make reports for a day, so the
// address is to be https and hard to guess too.
func VerifyMailgun(key string, body []byte, now time.Time) error {
	if len(body) > MaxWebhook || key == "" {
		return errSignature
	}
	var m struct {
		Signature struct {
			Timestamp string `json:"timestamp"`
			Token     string `json:"token"`
			Signature string `json:"signature"`
		} `json:"signature"`
	}
	if err := read(body, false, &m); err != nil {
		return errSignature
	}
	got, err := hex.DecodeString(m.Signature.Signature)
	if err != nil || m.Signature.Token == "" {
		return errSignature
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(m.Signature.Timestamp + m.Signature.Token))
	if !hmac.Equal(got, mac.Sum(nil)) {
		return errSignature
	}
	return inTime(m.Signature.Timestamp, now)
}

// VerifySendGrid checks a report of SendGrid with the verification key of the
// account (base64, as its settings show it) against the headers
// X-Twilio-Email-Event-Webhook-Signature and -Timestamp: ECDSA over timestamp
// and body, as it came.
func VerifySendGrid(key, signature, timestamp string, body []byte, now time.Time) error {
	der, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return errors.New("the verification key of SendGrid is not base64")
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return fmt.Errorf("the verification key of SendGrid: %w", err)
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("the verification key of SendGrid is %T, not ECDSA", parsed)
	}
	got, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || len(body) > MaxWebhook {
		return errSignature
	}
	hash := sha256.New()
	hash.Write([]byte(timestamp))
	hash.Write(body)
	if !ecdsa.VerifyASN1(public, hash.Sum(nil), got) {
		return errSignature
	}
	return inTime(timestamp, now)
}

// SNS is the envelope that Amazon's notifications come in.
type SNS struct {
	Type             string `json:"Type"` // Notification, SubscriptionConfirmation, UnsubscribeConfirmation
	MessageID        string `json:"MessageId"`
	Token            string `json:"Token"`
	TopicArn         string `json:"TopicArn"`
	Subject          string `json:"Subject"`
	Message          string `json:"Message"`
	Timestamp        string `json:"Timestamp"` // RFC 3339
	SignatureVersion string `json:"SignatureVersion"`
	Signature        string `json:"Signature"`
	SigningCertURL   string `json:"SigningCertURL"`
	SubscribeURL     string `json:"SubscribeURL"`
	UnsubscribeURL   string `json:"UnsubscribeURL"`
}

// amazonHost are the only hosts that certificates and confirmations come from.
var amazonHost = regexp.MustCompile(`^sns\.[a-z0-9-]{3,30}\.amazonaws\.com(\.cn)?$`)

func parseSNS(body []byte) (*SNS, error) {
	s := new(SNS)
	if err := read(body, false, s); err != nil {
		return nil, err
	}
	switch s.Type {
	case "Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation":
	default:
		return nil, fmt.Errorf("the report is not as expected: Type %.40q of SNS", s.Type)
	}
	if s.SigningCertURL == "" || s.Signature == "" {
		return nil, errors.New("the report is not as expected: SNS signs what it sends; raw message delivery must be off")
	}
	return s, nil
}

// Confirmation is the address to GET once so that notifications come, or "": it
// is none, or it leads elsewhere than to Amazon.
func (s *SNS) Confirmation() string {
	if s.Type == "SubscriptionConfirmation" && amazon(s.SubscribeURL) {
		return s.SubscribeURL
	}
	return ""
}

// Certificate is the address of the certificate for [SNS.Verify], or "" when it
// leads elsewhere than to Amazon. It changes seldom.
func (s *SNS) Certificate() string {
	if amazon(s.SigningCertURL) && strings.HasSuffix(s.SigningCertURL, ".pem") {
		return s.SigningCertURL
	}
	return ""
}

func amazon(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.User == nil && amazonHost.MatchString(u.Host)
}

// Verify checks the signature (version 1: RSA with SHA-1, 2: SHA-256) with the
// certificate of [SNS.Certificate], which the caller has fetched, and that the
// topic is ours: anybody can have Amazon sign for a topic of their own.
func (s *SNS) Verify(certificate *x509.Certificate, topic string, now time.Time) error {
	if topic == "" || s.TopicArn != topic {
		return fmt.Errorf("the report is of topic %.100q, not ours", s.TopicArn)
	}
	public, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok || now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return errors.New("the certificate of SNS is not for this")
	}
	signature, err := base64.StdEncoding.DecodeString(s.Signature)
	if err != nil {
		return errSignature
	}
	text := []byte(s.signed())
	switch s.SignatureVersion {
	case "1":
		sum := sha1.Sum(text)
		err = rsa.VerifyPKCS1v15(public, crypto.SHA1, sum[:], signature)
	case "2":
		sum := sha256.Sum256(text)
		err = rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature)
	default:
		return fmt.Errorf("version %.20q of the signature is not known", s.SignatureVersion)
	}
	if err != nil {
		return errSignature
	}
	at, err := time.Parse(time.RFC3339, s.Timestamp)
	if err != nil {
		return errSignature
	}
	return inTime(strconv.FormatInt(at.Unix(), 10), now)
}

// signed is what the signature covers: names and values, one a line.
func (s *SNS) signed() string {
	pairs := [][2]string{{"Message", s.Message}, {"MessageId", s.MessageID}}
	if s.Type == "Notification" {
		if s.Subject != "" {
			pairs = append(pairs, [2]string{"Subject", s.Subject})
		}
		pairs = append(pairs, [2]string{"Timestamp", s.Timestamp})
	} else {
		pairs = append(pairs, [2]string{"SubscribeURL", s.SubscribeURL}, [2]string{"Timestamp", s.Timestamp}, [2]string{"Token", s.Token})
	}
	pairs = append(pairs, [2]string{"TopicArn", s.TopicArn}, [2]string{"Type", s.Type})
	var b strings.Builder
	for _, p := range pairs {
		b.WriteString(p[0] + "\n" + p[1] + "\n")
	}
	return b.String()
}
