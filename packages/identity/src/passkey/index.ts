/**
 * TBD
 *
 * @packageDocumentation
 */
export {}
