/**
 * CryptoTensors for Node.js: safetensors with per-tensor encryption, a signed header and an access policy inside the file.
 *
 * @packageDocumentation
 */
export { safeOpen, safeOpenSync } from './read/safe-open.js';
export type { InputOptions, SafeOpenOptions } from './read/safe-open.js';
export type { BytesInput, OpenInput } from './model/input.js';
export type { AuditEvent, AuditListener } from './model/audit.js';
export type { OpenOptions, PolicyOptions } from './open/options.js';
export type { ReadOptions } from './read/options.js';
export { SafeFile } from './read/safe-file.js';
export type { GetTensorsOptions, ModelIdentityInfo } from './read/safe-file.js';
export { ModelFile } from './read/model-file.js';
export type { FileReadOptions } from './read/model-file.js';
export type { TensorInfo } from './model/tensor-info.js';
export { SafeSlice } from './read/safe-slice.js';
export type { AttachOptions, SharedModel } from './open/share.js';
export type { SliceArguments } from './read/safe-slice.js';
export { Tensor } from './read/tensor.js';
export { wipeTensors, wipeTensorsSync } from './read/wipe.js';
export type { Tensors } from './read/wipe.js';
export type { TensorData } from './read/tensor.js';
export type { Check } from './model/model.js';
export { load, loadFile, loadFileSync, loadSync } from './read/eager.js';
export type { LoadOptions } from './read/eager.js';
export { verifyFile, verifyFileSync } from './report/verify.js';
export type { Verification, VerifyOptions } from './report/verify.js';
export { explainPolicy, explainPolicySync } from './report/explain.js';
export type {
  ExplainOptions,
  ExplainedInput,
  ExplainedTensor,
  PolicyDraft,
  PolicyDraftFacts,
  PolicyExplanation,
} from './report/explain.js';
export { inspectFile, inspectFileSync } from './report/inspect.js';
export type { InspectOptions, Inspection } from './report/inspect.js';

export { save, saveFile, saveFileSync, saveSync } from './writer/save.js';
export type { SaveOptions, TensorLike, TensorsInput } from './writer/save.js';
export { encryptFile } from './writer/encrypt-file.js';
export type { EncryptOptions } from './writer/encrypt-file.js';
export { encryptModel } from './writer/encrypt-model.js';
export type { EncryptModelOptions, EncryptedModelFiles } from './writer/encrypt-model.js';
export type { SideFileChoice } from './writer/side-file-choice.js';
export { decryptFile } from './writer/decrypt-file.js';
export type { DecryptOptions } from './writer/decrypt-file.js';
export { decryptModel } from './writer/decrypt-model.js';
export type { ProtectOptions, WorkOptions } from './writer/options.js';
export type { TensorPattern, TensorSelection, TensorSummary } from './writer/select.js';

export { rewrapFile } from './rewrap/rewrap-file.js';
export type { RewrapOptions, RewrapTo, RewrappedFile } from './rewrap/options.js';
export { recoverFile } from './recovery/recover-file.js';
export type { Recovery } from './recovery/recovery.js';
export { attachHeader, detachHeader } from './rewrap/detach.js';
export type { DetachOptions } from './rewrap/detach.js';

export { issueLicense, openLicenseIssuer } from './license/issuer.js';
export type { LicenseIssuer } from './license/issuer.js';
export type { IssueOptions, LicenseIssuerOptions, LicenseOptions } from './license/options.js';
export { inspectLicense } from './license/inspect.js';
export type { LicenseInput, LicenseInspection } from './license/inspect.js';
export { verifyLicense } from './license/verify.js';
export type { LicenseVerification, VerifyLicenseOptions } from './license/verify.js';
export { exportLicenseKey } from './license/export-key.js';
export type { ExportLicenseKeyOptions } from './license/export-key.js';
export type { LicenseInfo } from './model/license-info.js';

export { generateKeys, generateRecipientKeys, loadKeys, loadKeysSync, publicJwks } from './key-tools.js';
export {
  cachedKeyProvider,
  directKeyProvider,
  directoryKeyProvider,
  fileKeyProvider,
  httpsKeyProvider,
} from './key-providers.js';
export type { NamedProviderOptions } from './key-providers.js';
export type { CacheOptions, CachedKeyProvider } from './keys/providers/cached.js';
export type { HttpsKeyOptions } from './keys/providers/https.js';
export type { GenerateKeysOptions, JwkFormat } from './keys/generate.js';
export type { GenerateRecipientKeysOptions } from './keys/generate-recipient.js';
export type { AgreementCurve } from './format/vocabulary.js';
export { KeyRing } from './keys/keyring.js';
export type { KeysInput, MasterKeyInfo, RecipientKeyInfo, SigningKeyInfo } from './keys/keyring.js';
export type { KeyState } from './keys/types.js';
export type { Jwk, JwkSet, RemoteMaster, RemoteSigner, WrappedDek } from './keys/types.js';
export { PROVIDER_PRIORITY } from './keys/providers/types.js';
export type {
  KeyAnswer,
  KeyMaterial,
  KeyProvider,
  KeyRole,
  KeySelector,
  RawMasterKey,
  RawSigningKey,
  RemoteMasterKey,
} from './keys/providers/types.js';
export {
  disableKeyProvider,
  enableKeyProvider,
  listKeyProviders,
  registerKeyProvider,
  unregisterKeyProvider,
} from './keys/providers/registry.js';
export type { KeyProviderInfo } from './keys/providers/registry.js';
export type {
  ClaimValue,
  PlainPolicyInput as PolicyInput,
  PolicyAction,
  PolicyLicense,
  PolicyTensor,
} from './policy/input.js';

export { AbortError, CryptoTensorsError } from './errors.js';
export type { ErrorCode, ErrorDetails } from './errors.js';
export type { CryptoKeysInfo as CryptoKeys, PolicyTexts } from './format/crypto-metadata.js';
export type { Dtype } from './format/dtype.js';
export type { SliceIndex } from './format/slice.js';
export { engineInfo } from './engine/load.js';
export type { AeadProvider, EngineInfo } from './engine/types.js';
export type { AeadAlgorithm, DigestAlgorithm } from './format/vocabulary.js';
