import type { Did } from '@kwaai/interface'
import { open } from '../envelope.ts'
import { envelopeId } from './bundle.ts'
import { linkFault, readGrantClaims, type GrantClaims, type Reading } from './claims.ts'
import { GRANT_CONTEXT, MAX_GRANT_BYTES } from './limits.ts'

/** A grant of a chain, read. */
export interface ChainLink {
  /** The SHA-256 of its envelope, base64url. */
  id: string
  claims: GrantClaims
}

/** What is wrong with envelopes, by what kind of promise is broken. */
export interface ChainFault {
  kind: 'structure' | 'signature' | 'chain'
  message: string
}

/** The grants of a chain from the subject's on, or what is wrong with it. */
export type ChainReading =
  | { links: readonly ChainLink[]; fault?: never }
  | { links?: never; fault: ChainFault }

/** Opens one envelope and reads what it says; its signer has to be the issuer. */
export async function openClaims<T extends { iss: Did }>(
  envelope: Uint8Array,
  context: string,
  read: (payload: Uint8Array) => Reading<T>
): Promise<{ claims: T; fault?: never } | { claims?: never; fault: ChainFault }> {
  let opened: Awaited<ReturnType<typeof open>>
  try {
    opened = await open(envelope, { context, maxBytes: MAX_GRANT_BYTES })
  } catch (error) {
    return { fault: { kind: 'signature', message: (error as Error).message } }
  }
  const reading = read(opened.payload)
  if (reading.fault !== undefined) return { fault: { kind: 'structure', message: reading.fault } }
  if (reading.claims.iss !== opened.signer) {
    return { fault: { kind: 'signature', message: 'it is signed by somebody else than its issuer' } }
  }
  return reading
}

/** Reads the grants of a chain, from the subject's on, and holds each to the one above. */
export async function readChain(envelopes: readonly Uint8Array[]): Promise<ChainReading> {
  const links: ChainLink[] = []
  for (const envelope of envelopes) {
    const { claims, fault } = await openClaims(envelope, GRANT_CONTEXT, readGrantClaims)
    if (fault !== undefined) return { fault }
    const parent = links.at(-1)
    const broken =
      parent === undefined
        ? claims.prf.length > 0
          ? "the first grant is not the subject's own"
          : undefined
        : linkFault(claims, parent.claims, parent.id)
    if (broken !== undefined) return { fault: { kind: 'chain', message: broken } }
    links.push({ id: envelopeId(envelope), claims })
  }
  return { links }
}
