package journey;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Map;
import java.util.UUID;
import latchkey.client.ApiClient;
import latchkey.client.ApiException;
import latchkey.client.api.ApiKeysApi;
import latchkey.client.api.AuthApi;
import latchkey.client.api.KycApi;
import latchkey.client.api.MfaApi;
import latchkey.client.model.*;

/** A person's way through the server with the generated client. */
public final class Journey {
    static final String EMAIL = "java@journey.example";
    static final String PASSWORD = "an unhurried walk to the harbour";

    static String server;
    static String person;

    /** What the person does outside the application: see person.py. */
    static String ask(String what, String name, String about) throws IOException, InterruptedException {
        var query = name + "=" + URLEncoder.encode(about, StandardCharsets.UTF_8);
        var request = HttpRequest.newBuilder(URI.create(person + "/" + what + "?" + query)).build();
        var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString());
        check(answer.statusCode() == 200, what + ": " + answer.body());
        return answer.body();
    }

    static void check(boolean holds, Object what) {
        if (!holds) throw new AssertionError(what);
    }

    static ApiClient signedIn(AuthSession session) {
        return anybody().setRequestInterceptor(
                request -> request.header("Authorization", "Bearer " + session.getAccessToken()));
    }

    static ApiClient anybody() {
        var client = new ApiClient();
        client.updateBaseUri(server);
        return client;
    }

    interface Call {
        Object run() throws ApiException;
    }

    /** What the call is refused with. */
    static <T> T refusal(Class<T> kind, int status, Call call) throws IOException {
        try {
            throw new AssertionError(call.run());
        } catch (ApiException refused) {
            check(refused.getCode() == status, refused);
            return ApiClient.createDefaultObjectMapper().readValue(refused.getResponseBody(), kind);
        }
    }

    public static void main(String[] arguments) throws Exception {
        server = arguments[0];
        person = arguments[1];
        var auth = new AuthApi(anybody());
        var password = new LoginRequest().email(EMAIL).password(PASSWORD);

        var tooShort = refusal(HTTPValidationError.class, 422,
                () -> auth.accountCreate(new SignupRequest().email(EMAIL).password("short")));
        check(tooShort.getDetail().get(0).getLoc().get(1).getString().equals("password"), tooShort);
        var account = auth.accountCreate(new SignupRequest().email(EMAIL).password(PASSWORD));
        check("verify_email".equals(account.getNextStep()) && account.getSession() == null, account);
        auth.emailVerify(new VerifyEmailRequest().token(ask("mail", "to", EMAIL)));
        System.out.println("signed up and confirmed");

        var wrong = refusal(Problem.class, 401,
                () -> auth.sessionCreate(new LoginRequest().email(EMAIL).password("not " + PASSWORD)));
        check(wrong.getError() == ErrorCode.INVALID_CREDENTIALS, wrong);

        var first = auth.sessionCreate(password).getSession();
        var mfa = new MfaApi(signedIn(first));
        var app = mfa.totpCreate(new Named().name("Phone"));
        var code = ask("code", "secret", app.getSecret());
        var confirmed = mfa.totpConfirm(UUID.fromString(app.getId()), new TotpConfirmation().code(code));
        check(confirmed.getRecoveryCodes().size() == 10, confirmed);
        auth.sessionEnd(new LogoutRequest().accessToken(confirmed.getSession().getAccessToken()));
        System.out.println("added an authenticator app");

        var login = auth.sessionCreate(password);
        check("mfa".equals(login.getNextStep()), login);
        code = ask("code", "secret", app.getSecret());
        var second = new MfaApi(anybody()).mfaVerify(new MfaVerification()
                .ticket(login.getMfa().getTicket()).method(CodeMethod.TOTP).code(code)).getSession();
        System.out.println("signed in with two factors");

        var keys = new ApiKeysApi(signedIn(second));
        var key = new NewApiKey().provider("generic_bearer").name("Demo").apiKey("a-key-of-the-journey")
                .settings(Map.of("base_url", person, "test_path", "/status"));
        var stored = UUID.fromString(keys.apiKeyCreate(key).getData().getId());
        check(keys.apiKeyTest(stored).getData().getOutcome() == TestOutcome.OK, "the test");
        check(keys.apiKeyDecrypt(stored, null).getData().getApiKey().equals(key.getApiKey()), "what was stored");
        System.out.println("stored, tested and revealed a credential");

        var kyc = new KycApi(signedIn(second));
        var begun = kyc.verificationCreate(new NewVerification().level("full"), UUID.randomUUID().toString());
        ask("approve", "page", begun.getUrl());
        var id = UUID.fromString(begun.getVerification().getId());
        for (var tries = 0; kyc.verificationGet(id).getVerification().getStatus() != KycStatus.APPROVED; tries++) {
            check(tries < 100, "not approved in 20 seconds");
            Thread.sleep(200);
        }
        var third = auth.sessionRefresh(new RefreshRequest().refreshToken(second.getRefreshToken())).getSession();
        var payload = Base64.getUrlDecoder().decode(third.getAccessToken().split("\\.")[1]);
        check(ApiClient.createDefaultObjectMapper().readTree(payload).get("ial").asInt() == 1, "the level");
        System.out.println("identified");

        auth.sessionEnd(new LogoutRequest().accessToken(third.getAccessToken()));
        var refused = refusal(Problem.class, 401, () -> new AuthApi(signedIn(third)).profileGet());
        check(refused.getError() == ErrorCode.INVALID_TOKEN, refused);
        System.out.println("signed out");
    }
}
