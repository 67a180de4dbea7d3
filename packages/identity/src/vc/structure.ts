import { parseDateTime } from '../date-time.ts'
import { digestFault } from './digest.ts'
import { CREDENTIALS_V2, dataModelOf, idOf, isObject, listOf } from './shape.ts'
import { isUrl } from './url.ts'

type Json = Readonly<Record<string, unknown>>

// More of one property than anybody has use for; each may cost a look-up.
const maxItems = 256
// Each credential of a presentation may have several proofs to verify.
const maxCredentials = 64

/**
 * What is wrong with a credential by the musts of the data model (VC Data Model 2.0, section 4, or 1.1, section 4), if
 * anything: a plain sentence. Terms and contexts are looked at elsewhere, and so are proofs.
 */
export function credentialFault(credential: Json): string | undefined {
  const v1 = dataModelOf(credential) === '1.1'
  return (
    contextFault(credential) ??
    typeFault(credential, 'VerifiableCredential') ??
    idFault(credential, 'The credential') ??
    partyFault(credential, 'issuer', true) ??
    periodFault(credential, v1) ??
    subjectFault(credential) ??
    objectsFault(credential, 'credentialStatus', v1 ? 'needed' : 'allowed') ??
    objectsFault(credential, 'credentialSchema', 'needed') ??
    objectsFault(credential, 'refreshService', v1 ? 'needed' : 'allowed') ??
    objectsFault(credential, 'termsOfUse', 'allowed') ??
    objectsFault(credential, 'evidence', 'allowed') ??
    objectsFault(credential, 'confidenceMethod', 'allowed') ??
    objectsFault(credential, 'renderMethod', 'allowed') ??
    resourcesFault(credential) ??
    proofFault(credential)
  )
}

/**
 * What is wrong with a presentation by the musts of the data model (VC Data Model 2.0, section 4.13), if anything. The
 * credentials in it are looked at one by one elsewhere.
 */
export function presentationFault(presentation: Json): string | undefined {
  const fault =
    contextFault(presentation) ??
    typeFault(presentation, 'VerifiablePresentation') ??
    idFault(presentation, 'The presentation') ??
    partyFault(presentation, 'holder', false) ??
    objectsFault(presentation, 'termsOfUse', 'allowed') ??
    proofFault(presentation)
  if (fault !== undefined) return fault
  const credentials = listOf(presentation['verifiableCredential'])
  if (credentials.length > maxCredentials) return `It has more than ${maxCredentials} credentials`
  for (const credential of credentials) {
    if (!isObject(credential)) return 'A "verifiableCredential" is no object'
    const enveloped = envelopeFault(credential)
    if (enveloped !== undefined) return enveloped
  }
  return undefined
}

function contextFault(document: Json): string | undefined {
  const context = document['@context']
  if (!Array.isArray(context)) return 'The @context is not a list (an ordered set)'
  if (dataModelOf(document) === undefined) return `The first @context is not ${CREDENTIALS_V2}`
  for (const item of context as readonly unknown[])
    if (!isObject(item) && !isUrl(item)) return 'An item of the @context is neither a URL nor an object'
  return undefined
}

function envelopeFault(document: Json): string | undefined {
  for (const type of listOf(document['type']))
    if (type === 'EnvelopedVerifiableCredential' || type === 'EnvelopedVerifiablePresentation')
      return `The type ${type} is not supported: what an envelope holds is not looked into`
  return undefined
}

function typeFault(document: Json, required: string): string | undefined {
  const types = listOf(document['type'])
  if (types.length === 0 || !types.every((type) => typeof type === 'string' && type !== ''))
    return 'The "type" is not one or more texts'
  // What is in a credential its issuer vouches for, what is in a presentation is verified by itself: it is one of both.
  if (types.includes('VerifiableCredential') && types.includes('VerifiablePresentation'))
    return 'The "type" is of a credential and of a presentation at once'
  return envelopeFault(document) ?? (types.includes(required) ? undefined : `The "type" has no ${required}`)
}

function idFault(object: Json, what: string): string | undefined {
  return object['id'] === undefined || isUrl(object['id'])
    ? undefined
    : `${what} has an "id" that is not one URL`
}

function partyFault(document: Json, name: 'issuer' | 'holder', required: boolean): string | undefined {
  const party = document[name]
  if (party === undefined) return required ? `There is no "${name}"` : undefined
  return idOf(party) === undefined
    ? `The "${name}" is neither a URL nor an object with a URL as its id`
    : undefined
}

function periodFault(credential: Json, v1: boolean): string | undefined {
  if (v1 && credential['issuanceDate'] === undefined) return 'There is no "issuanceDate"'
  for (const name of ['validFrom', 'validUntil', ...(v1 ? ['issuanceDate', 'expirationDate'] : [])])
    if (credential[name] !== undefined && parseDateTime(credential[name]) === undefined)
      return `The "${name}" is no XSD date time stamp`
  const { from, until } = periodOf(credential)
  return from > until ? 'The credential would end before it begins' : undefined
}

/** When a credential is valid, in milliseconds since 1970; open ends are infinite. */
export function periodOf(credential: Json): { from: number; until: number } {
  const v1 = dataModelOf(credential) === '1.1'
  return {
    from: Math.max(
      parseDateTime(credential['validFrom']) ?? -Infinity,
      (v1 ? parseDateTime(credential['issuanceDate']) : undefined) ?? -Infinity
    ),
    until: Math.min(
      parseDateTime(credential['validUntil']) ?? Infinity,
      (v1 ? parseDateTime(credential['expirationDate']) : undefined) ?? Infinity
    )
  }
}

function subjectFault(credential: Json): string | undefined {
  const subjects = listOf(credential['credentialSubject'])
  if (subjects.length === 0) return 'There is no "credentialSubject"'
  if (subjects.length > maxItems) return `It has more than ${maxItems} subjects`
  for (const subject of subjects) {
    if (!isObject(subject) || Object.keys(subject).length === 0)
      return 'A "credentialSubject" is no object with claims'
    const fault = idFault(subject, 'A "credentialSubject"')
    if (fault !== undefined) return fault
  }
  return undefined
}

/** Objects that have to say their type, and their id where it is needed. */
function objectsFault(document: Json, name: string, id: 'needed' | 'allowed'): string | undefined {
  const value = document[name]
  if (value === undefined) return undefined
  const objects = listOf(value)
  if (objects.length === 0) return `The "${name}" is empty`
  if (objects.length > maxItems) return `It has more than ${maxItems} of "${name}"`
  for (const object of objects) {
    if (!isObject(object)) return `The "${name}" is no object`
    const types = listOf(object['type'])
    if (types.length === 0 || !types.every((type) => typeof type === 'string' && type !== ''))
      return `The "${name}" has no type`
    if (id === 'needed' && object['id'] === undefined) return `The "${name}" has no id`
    const fault = idFault(object, `The "${name}"`)
    if (fault !== undefined) return fault
  }
  return undefined
}

function resourcesFault(credential: Json): string | undefined {
  const value = credential['relatedResource']
  if (value === undefined) return undefined
  const resources = listOf(value)
  if (resources.length === 0) return 'The "relatedResource" is empty'
  if (resources.length > maxItems) return `It has more than ${maxItems} of "relatedResource"`
  const ids = new Set<unknown>()
  for (const resource of resources) {
    if (!isObject(resource)) return 'A "relatedResource" is no object'
    if (!isUrl(resource['id'])) return 'A "relatedResource" has no URL as its id'
    if (ids.has(resource['id'])) return 'Two of "relatedResource" have the same id'
    ids.add(resource['id'])
    if (resource['mediaType'] !== undefined && typeof resource['mediaType'] !== 'string')
      return 'The "mediaType" of a "relatedResource" is no text'
    const fault = digestFault(resource)
    if (fault !== undefined) return fault
  }
  return undefined
}

/** A proof has to say its type; all else is for whoever verifies it. */
function proofFault(document: Json): string | undefined {
  if (document['proof'] === undefined) return undefined
  for (const proof of listOf(document['proof'])) {
    if (!isObject(proof)) return 'A "proof" is no object'
    if (typeof proof['type'] !== 'string' || proof['type'] === '') return 'A "proof" has no type'
  }
  return undefined
}
