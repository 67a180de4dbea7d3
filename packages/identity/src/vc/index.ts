/**
 * W3C credentials that verify only when every part of the promise holds.
 *
 * @packageDocumentation
 */
export type * from './types.ts'
export type * from '../data-integrity/types.ts'
