// Journey takes a person's way through the server with the generated client.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"latchkey.example/journey/client"
)

const (
	email    = "go@journey.example"
	password = "an unhurried walk to the harbour"
)

var (
	ctx            = context.Background()
	server, person string
)

func check(holds bool, what ...any) {
	if !holds {
		log.Panicln(what...)
	}
}

func must[T any](value T, err error) T {
	check(err == nil, err)
	return value
}

// ask has the person do what is done outside the application: see person.py.
func ask(what, name, about string) string {
	answer := must(http.Get(person + "/" + what + "?" + url.Values{name: {about}}.Encode()))
	defer answer.Body.Close()
	text := string(must(io.ReadAll(answer.Body)))
	check(answer.StatusCode == 200, what, text)
	return text
}

func signedIn(session *client.AuthSession) *client.ClientWithResponses {
	check(session != nil, "no session")
	return must(client.NewClientWithResponses(server, client.WithRequestEditorFn(
		func(_ context.Context, request *http.Request) error {
			request.Header.Set("Authorization", "Bearer "+session.AccessToken)
			return nil
		})))
}

func main() {
	server, person = os.Args[1], os.Args[2]
	anybody := must(client.NewClientWithResponses(server))

	short := must(anybody.AccountCreateWithResponse(ctx, client.SignupRequest{Email: email, Password: ptr("short")}))
	check(short.JSON422 != nil, string(short.Body))
	check(must(short.JSON422.Detail[0].Loc[1].AsValidationErrorLoc0()) == "password", string(short.Body))
	account := must(anybody.AccountCreateWithResponse(ctx, client.SignupRequest{Email: email, Password: ptr(password)}))
	check(account.JSON200 != nil, string(account.Body))
	check(*account.JSON200.NextStep == "verify_email" && account.JSON200.Session == nil)
	token := ask("mail", "to", email)
	verified := must(anybody.EmailVerifyWithResponse(ctx, client.VerifyEmailRequest{Token: &token}))
	check(verified.JSON200 != nil, string(verified.Body))
	fmt.Println("signed up and confirmed")

	wrong := must(anybody.SessionCreateWithResponse(ctx, client.LoginRequest{Email: email, Password: ptr("not " + password)}))
	check(wrong.ApplicationproblemJSON401 != nil, string(wrong.Body))
	check(wrong.ApplicationproblemJSON401.Error == client.ErrorCodeInvalidCredentials, string(wrong.Body))

	credentials := client.LoginRequest{Email: email, Password: ptr(password)}
	first := must(anybody.SessionCreateWithResponse(ctx, credentials))
	check(first.JSON200 != nil, string(first.Body))
	latchkey := signedIn(first.JSON200.Session)
	app := must(latchkey.TotpCreateWithResponse(ctx, client.Named{Name: "Phone"}))
	check(app.JSON200 != nil, string(app.Body))
	code := ask("code", "secret", app.JSON200.Secret)
	confirmed := must(latchkey.TotpConfirmWithResponse(ctx, uuid.MustParse(app.JSON200.Id), client.TotpConfirmation{Code: &code}))
	check(confirmed.JSON200 != nil && len(*confirmed.JSON200.RecoveryCodes) == 10, string(confirmed.Body))
	ended := must(anybody.SessionEndWithResponse(ctx, client.LogoutRequest{AccessToken: &confirmed.JSON200.Session.AccessToken}))
	check(ended.JSON200 != nil, string(ended.Body))
	fmt.Println("added an authenticator app")

	login := must(anybody.SessionCreateWithResponse(ctx, credentials))
	check(login.JSON200 != nil && *login.JSON200.NextStep == "mfa", string(login.Body))
	code = ask("code", "secret", app.JSON200.Secret)
	second := must(anybody.MfaVerifyWithResponse(ctx, client.MfaVerification{
		Ticket: &login.JSON200.Mfa.Ticket, Method: client.CodeMethodTotp, Code: &code,
	}))
	check(second.JSON200 != nil, string(second.Body))
	latchkey = signedIn(second.JSON200.Session)
	fmt.Println("signed in with two factors")

	key := "a-key-of-the-journey"
	stored := must(latchkey.ApiKeyCreateWithResponse(ctx, client.NewApiKey{
		Provider: ptr("generic_bearer"), Name: "Demo", ApiKey: &key,
		Settings: &map[string]any{"base_url": person, "test_path": "/status"},
	}))
	check(stored.JSON200 != nil, string(stored.Body))
	id := uuid.MustParse(stored.JSON200.Data.Id)
	tested := must(latchkey.ApiKeyTestWithResponse(ctx, id))
	check(tested.JSON200 != nil && tested.JSON200.Data.Outcome == client.TestOutcomeOk, string(tested.Body))
	revealed := must(latchkey.ApiKeyDecryptWithResponse(ctx, id, nil))
	check(revealed.JSON200 != nil && revealed.JSON200.Data.ApiKey == key, string(revealed.Body))
	fmt.Println("stored, tested and revealed a credential")

	begun := must(latchkey.VerificationCreateWithResponse(ctx,
		&client.VerificationCreateParams{IdempotencyKey: ptr(uuid.NewString())}, client.NewVerification{Level: "full"}))
	check(begun.JSON200 != nil, string(begun.Body))
	ask("approve", "page", *begun.JSON200.Url)
	id = uuid.MustParse(begun.JSON200.Verification.Id)
	for tries := 0; ; tries++ {
		found := must(latchkey.VerificationGetWithResponse(ctx, id))
		check(found.JSON200 != nil, string(found.Body))
		if found.JSON200.Verification.Status == client.KycStatusApproved {
			break
		}
		check(tries < 100, "not approved in 20 seconds")
		time.Sleep(200 * time.Millisecond)
	}
	third := must(anybody.SessionRefreshWithResponse(ctx, client.RefreshRequest{RefreshToken: &second.JSON200.Session.RefreshToken}))
	check(third.JSON200 != nil && third.JSON200.Session != nil, string(third.Body))
	var claims struct{ Ial int }
	payload := strings.Split(third.JSON200.Session.AccessToken, ".")[1]
	check(json.Unmarshal(must(base64.RawURLEncoding.DecodeString(payload)), &claims) == nil && claims.Ial == 1, payload)
	fmt.Println("identified")

	must(anybody.SessionEndWithResponse(ctx, client.LogoutRequest{AccessToken: &third.JSON200.Session.AccessToken}))
	refused := must(signedIn(third.JSON200.Session).ProfileGetWithResponse(ctx))
	check(refused.ApplicationproblemJSON401 != nil, string(refused.Body))
	check(refused.ApplicationproblemJSON401.Error == client.ErrorCodeInvalidToken, string(refused.Body))
	fmt.Println("signed out")
}

func ptr[T any](value T) *T { return &value }
