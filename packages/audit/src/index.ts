/**
 * A log whose past nobody can change unnoticed, and a way to forget people all the same.
 *
 * @packageDocumentation
 */
export {}
