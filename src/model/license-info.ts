import type { LicenseTerms } from '../format/license.js';
import { copyClaims } from '../policy/claims.js';
import type { ClaimValue } from '../format/license.js';

/** What a licence says. */
export interface LicenseInfo {
  id: string;
  issued: Date;
  notBefore: Date | null;
  expires: Date | null;
  /** What the vendor wrote into it. Objects in it have no prototype. */
  claims: Record<string, ClaimValue>;
}

/** A copy for the caller. */
export function licenseInfo({ id, issued, notBefore, expires, claims }: LicenseTerms): LicenseInfo {
  return {
    id,
    issued: new Date(issued),
    notBefore: notBefore === null ? null : new Date(notBefore),
    expires: expires === null ? null : new Date(expires),
    claims: copyClaims(claims, 'the claims of the licence'),
  };
}
