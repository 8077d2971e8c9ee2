//! What browsers and this server say to each other about passkeys, in the JSON of Web Authentication, Level 3: options as
//! `PublicKeyCredential.parseCreationOptionsFromJSON()` and `parseRequestOptionsFromJSON()` take them, answers as
//! `PublicKeyCredential.toJSON()` gives them. Members of answers that nobody asks for are ignored.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use webauthn_rs_proto as proto;

use super::auth::EXAMPLE_ID;
use super::payload::{Base64Url, Patch, Word};

/// Id of a credential: at most 1023 bytes.
type CredentialId = Base64Url<1364>;
/// What the browser says of the ceremony.
type ClientData = Base64Url<8192>;
/// What the authenticator says of itself, with extensions.
type AuthenticatorData = Base64Url<4096>;
/// The same with certificates, which some send unasked.
type AttestationObject = Base64Url<49_152>;
type Signature = Base64Url<2048>;
/// Id of an account to an authenticator: at most 64 bytes.
type UserHandle = Base64Url<86>;
type Challenge = Base64Url<128>;

/// The kind of credential
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum PublicKeyCredentialType {
    /// The only one there is
    #[oai(rename = "public-key")]
    PublicKey,
}

/// What is demanded
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum WebauthnRequirement {
    /// Nothing less will do
    Required,
}

/// Whether the maker of the authenticator is to vouch for it
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum AttestationConveyance {
    /// It is not
    None,
}

/// When an authenticator uses a passkey
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "camelCase")]
enum CredentialProtection {
    /// Only after it has verified the person
    UserVerificationRequired,
}

/// Whom a passkey is registered with
#[derive(Debug, Object)]
struct RelyingParty {
    /// The domain that it is bound to
    id: String,
    /// The name of the product
    name: String,
}

/// Whose a passkey is
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct CredentialUser {
    /// Id of the account, as bytes
    id: UserHandle,
    /// The address of the account
    name: String,
    /// What the person is called
    display_name: String,
}

/// An algorithm that this server verifies
#[derive(Debug, Object)]
struct CredentialParameter {
    /// The kind of credential
    #[oai(rename = "type")]
    kind: PublicKeyCredentialType,
    /// Its number in COSE: -7 is ES256
    alg: i64,
}

/// A passkey that is there already
#[derive(Debug, Object)]
struct CredentialDescriptor {
    /// The kind of credential
    #[oai(rename = "type")]
    kind: PublicKeyCredentialType,
    /// What the authenticator calls it
    id: CredentialId,
    /// Ways to reach the authenticator
    #[oai(skip_serializing_if_is_none)]
    transports: Option<Vec<String>>,
}

/// What the authenticator must be able to do
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AuthenticatorSelection {
    /// To find the passkey without being told which
    resident_key: WebauthnRequirement,
    /// The same for older browsers
    require_resident_key: bool,
    /// To verify the person, by a PIN or a finger
    user_verification: WebauthnRequirement,
}

/// What else is asked of browser and authenticator
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct CreationExtensions {
    /// To say whether the passkey can be found without being told which
    cred_props: bool,
    /// When the passkey may be used
    credential_protection_policy: CredentialProtection,
    /// Whether an authenticator that can't promise that must fail
    enforce_credential_protection_policy: bool,
}

/// How to make a passkey: for `parseCreationOptionsFromJSON()` and `navigator.credentials.create()`
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", example)]
pub struct PublicKeyCredentialCreationOptions {
    /// Whom it is registered with
    rp: RelyingParty,
    /// Whose it is
    user: CredentialUser,
    /// What the authenticator is to sign
    challenge: Challenge,
    /// Algorithms, the best one first
    pub_key_cred_params: Vec<CredentialParameter>,
    /// Milliseconds to answer in
    timeout: u32,
    /// The account's passkeys: no authenticator should make a second one
    exclude_credentials: Vec<CredentialDescriptor>,
    /// What the authenticator must be able to do
    authenticator_selection: AuthenticatorSelection,
    /// Whether the maker of the authenticator is to vouch for it
    attestation: AttestationConveyance,
    /// What else is asked
    extensions: CreationExtensions,
}

/// How to use a passkey: for `parseRequestOptionsFromJSON()` and `navigator.credentials.get()`
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", example)]
pub struct PublicKeyCredentialRequestOptions {
    /// What the authenticator is to sign
    challenge: Challenge,
    /// Milliseconds to answer in
    timeout: u32,
    /// The domain that the passkey is bound to
    rp_id: String,
    /// Passkeys that may answer; any when there is none
    allow_credentials: Vec<CredentialDescriptor>,
    /// Whether the person is to be verified
    user_verification: WebauthnRequirement,
}

/// What an authenticator that made a passkey says
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AttestationResponse {
    /// What the browser says of the ceremony
    #[oai(rename = "clientDataJSON")]
    client_data_json: ClientData,
    /// The new passkey
    attestation_object: AttestationObject,
    /// Ways to reach the authenticator, such as `usb` or `hybrid`
    #[oai(skip_serializing_if_is_none, validator(max_items = 16))]
    transports: Option<Vec<Word>>,
}

/// A new passkey: what `toJSON()` gives after `navigator.credentials.create()`
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", example)]
pub struct RegistrationCredential {
    /// What the authenticator calls it
    id: CredentialId,
    /// The kind of credential: `public-key`
    #[oai(rename = "type")]
    kind: Word,
    /// What the authenticator says
    response: AttestationResponse,
}

/// What an authenticator that used a passkey says
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AssertionResponse {
    /// What the browser says of the ceremony
    #[oai(rename = "clientDataJSON")]
    client_data_json: ClientData,
    /// What the authenticator says of itself
    authenticator_data: AuthenticatorData,
    /// Its signature over both
    signature: Signature,
    /// Id of the account, as bytes
    user_handle: Patch<UserHandle>,
}

/// A passkey that was used: what `toJSON()` gives after `navigator.credentials.get()`
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", example)]
pub struct AuthenticationCredential {
    /// What the authenticator calls it
    id: CredentialId,
    /// The kind of credential: `public-key`
    #[oai(rename = "type")]
    kind: Word,
    /// What the authenticator says
    response: AssertionResponse,
}

impl From<RegistrationCredential> for proto::RegisterPublicKeyCredential {
    fn from(sent: RegistrationCredential) -> Self {
        let transports = sent
            .response
            .transports
            .map(|words| words.iter().filter_map(|word| word.as_str().parse().ok()).collect());
        Self {
            id: BASE64_URL_SAFE_NO_PAD.encode(&sent.id.0),
            raw_id: sent.id.0,
            response: proto::AuthenticatorAttestationResponseRaw {
                attestation_object: sent.response.attestation_object.0,
                client_data_json: sent.response.client_data_json.0,
                transports,
            },
            type_: sent.kind.to_string(),
            extensions: proto::RegistrationExtensionsClientOutputs::default(),
        }
    }
}

impl From<AuthenticationCredential> for proto::PublicKeyCredential {
    fn from(sent: AuthenticationCredential) -> Self {
        Self {
            id: BASE64_URL_SAFE_NO_PAD.encode(&sent.id.0),
            raw_id: sent.id.0,
            response: proto::AuthenticatorAssertionResponseRaw {
                authenticator_data: sent.response.authenticator_data.0,
                client_data_json: sent.response.client_data_json.0,
                signature: sent.response.signature.0,
                user_handle: sent.response.user_handle.change().flatten().map(|handle| handle.0),
            },
            extensions: proto::AuthenticationExtensionsClientOutputs::default(),
            type_: sent.kind.to_string(),
        }
    }
}

impl From<proto::PublicKeyCredentialCreationOptions> for PublicKeyCredentialCreationOptions {
    fn from(options: proto::PublicKeyCredentialCreationOptions) -> Self {
        let excluded = options.exclude_credentials.unwrap_or_default();
        Self {
            rp: RelyingParty { id: options.rp.id, name: options.rp.name },
            user: CredentialUser {
                id: Base64Url(options.user.id),
                name: options.user.name,
                display_name: options.user.display_name,
            },
            challenge: Base64Url(options.challenge),
            pub_key_cred_params: options
                .pub_key_cred_params
                .into_iter()
                .map(|it| parameter(it.alg))
                .collect(),
            timeout: options.timeout.unwrap_or_default(),
            exclude_credentials: excluded.into_iter().map(|it| descriptor(it.id, it.transports)).collect(),
            // Every passkey must sign in by itself. The library would leave the choice to the authenticator.
            authenticator_selection: AuthenticatorSelection {
                resident_key: WebauthnRequirement::Required,
                require_resident_key: true,
                user_verification: WebauthnRequirement::Required,
            },
            attestation: AttestationConveyance::None,
            extensions: CreationExtensions {
                cred_props: true,
                credential_protection_policy: CredentialProtection::UserVerificationRequired,
                enforce_credential_protection_policy: false,
            },
        }
    }
}

impl From<proto::PublicKeyCredentialRequestOptions> for PublicKeyCredentialRequestOptions {
    fn from(options: proto::PublicKeyCredentialRequestOptions) -> Self {
        let allowed = options.allow_credentials;
        Self {
            challenge: Base64Url(options.challenge),
            timeout: options.timeout.unwrap_or_default(),
            rp_id: options.rp_id,
            allow_credentials: allowed.into_iter().map(|it| descriptor(it.id, it.transports)).collect(),
            user_verification: WebauthnRequirement::Required,
        }
    }
}

fn parameter(alg: i64) -> CredentialParameter {
    CredentialParameter { kind: PublicKeyCredentialType::PublicKey, alg }
}

fn descriptor(id: Vec<u8>, transports: Option<Vec<proto::AuthenticatorTransport>>) -> CredentialDescriptor {
    CredentialDescriptor {
        kind: PublicKeyCredentialType::PublicKey,
        id: Base64Url(id),
        transports: transports.map(|all| all.iter().map(ToString::to_string).collect()),
    }
}

fn public_key() -> Word {
    Word::new("public-key")
}

fn sample<const MAX: usize>(length: u8) -> Base64Url<MAX> {
    Base64Url((1..=length).collect())
}

impl Example for PublicKeyCredentialCreationOptions {
    fn example() -> Self {
        proto::PublicKeyCredentialCreationOptions {
            rp: proto::RelyingParty { id: "id.example.com".into(), name: "Example".into() },
            user: proto::User {
                id: EXAMPLE_ID.parse::<uuid::Uuid>().map_or(vec![], |id| id.as_bytes().to_vec()),
                name: "ada@example.com".into(),
                display_name: "Ada Lovelace".into(),
            },
            challenge: sample::<128>(32).0,
            pub_key_cred_params: vec![proto::PubKeyCredParams { type_: "public-key".into(), alg: -7 }],
            timeout: Some(300_000),
            exclude_credentials: None,
            authenticator_selection: None,
            hints: None,
            attestation: None,
            attestation_formats: None,
            extensions: None,
        }
        .into()
    }
}

impl Example for PublicKeyCredentialRequestOptions {
    fn example() -> Self {
        Self {
            challenge: sample(32),
            timeout: 300_000,
            rp_id: "id.example.com".into(),
            allow_credentials: vec![descriptor(
                sample::<1364>(16).0,
                Some(vec![proto::AuthenticatorTransport::Internal]),
            )],
            user_verification: WebauthnRequirement::Required,
        }
    }
}

impl Example for RegistrationCredential {
    fn example() -> Self {
        Self {
            id: sample(16),
            kind: public_key(),
            response: AttestationResponse {
                client_data_json: Base64Url(br#"{"type":"webauthn.create"}"#.to_vec()),
                attestation_object: sample(32),
                transports: None,
            },
        }
    }
}

impl Example for AuthenticationCredential {
    fn example() -> Self {
        Self {
            id: sample(16),
            kind: public_key(),
            response: AssertionResponse {
                client_data_json: Base64Url(br#"{"type":"webauthn.get"}"#.to_vec()),
                authenticator_data: sample(37),
                signature: sample(64),
                user_handle: Patch::Keep,
            },
        }
    }
}
