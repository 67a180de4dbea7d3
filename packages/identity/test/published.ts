import { base58btc } from 'multiformats/bases/base58'
import { createIdentity, type Identity } from '@kwaai/identity'

/** The identity of a published `privateKeyMultibase`: base58 of the prefix 0x8026 and the seed. */
export function identityOf({ privateKeyMultibase }: { privateKeyMultibase: string }): Identity {
  return createIdentity({ seed: base58btc.decode(privateKeyMultibase).slice(2) })
}

/**
 * What of the context `https://w3id.org/citizenship/v4rc1` the published employment credential uses, with the terms'
 * meanings as the published canonical document shows them.
 */
export const citizenshipContexts = {
  'https://w3id.org/citizenship/v4rc1': {
    '@context': {
      '@protected': true,
      EmploymentAuthorizationDocumentCredential:
        'https://w3id.org/citizenship#EmploymentAuthorizationDocumentCredential',
      EmploymentAuthorizationDocument: 'https://w3id.org/citizenship#EmploymentAuthorizationDocument',
      EmployablePerson: 'https://w3id.org/citizenship#EmployablePerson',
      Person: 'https://schema.org/Person',
      additionalName: 'https://schema.org/additionalName',
      birthCountry: 'https://w3id.org/citizenship#birthCountry',
      birthDate: {
        '@id': 'https://schema.org/birthDate',
        '@type': 'http://www.w3.org/2001/XMLSchema#dateTime'
      },
      employmentAuthorizationDocument: {
        '@id': 'https://w3id.org/citizenship#employmentAuthorizationDocument',
        '@type': '@id'
      },
      familyName: 'https://schema.org/familyName',
      gender: 'https://schema.org/gender',
      givenName: 'https://schema.org/givenName',
      identifier: 'https://schema.org/identifier',
      image: { '@id': 'https://schema.org/image', '@type': '@id' },
      lprCategory: 'https://w3id.org/citizenship#lprCategory',
      lprNumber: 'https://w3id.org/citizenship#lprNumber',
      residentSince: {
        '@id': 'https://w3id.org/citizenship#residentSince',
        '@type': 'http://www.w3.org/2001/XMLSchema#dateTime'
      }
    }
  }
}
