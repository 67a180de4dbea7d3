import { KwaaiError } from '@kwaai/interface'
import { expect, test } from 'vitest'

test('an error carries its code, its cause and its details', () => {
  const cause = new TypeError('deep')
  const error = new KwaaiError('ERR_TOY_BROKEN', 'Cannot play: the toy is broken', {
    cause,
    details: { part: 3 }
  })
  expect(error).toBeInstanceOf(Error)
  expect(error.name).toBe('KwaaiError')
  expect([error.code, error.message, error.cause, error.details]).toEqual([
    'ERR_TOY_BROKEN',
    'Cannot play: the toy is broken',
    cause,
    { part: 3 }
  ])
  expect('cause' in new KwaaiError('ERR_TOY_BROKEN', 'x')).toBe(false)
})

test('an error is known by its marker, whatever copy of the package made it', () => {
  const error = new KwaaiError('ERR_TOY_BROKEN', 'x')
  const foreign = Object.assign(new Error('x'), { code: 'ERR_TOY_BROKEN', [Symbol.for('kwaai.error')]: true })
  for (const known of [error, foreign]) {
    expect(KwaaiError.is(known)).toBe(true)
    expect(KwaaiError.is(known, 'ERR_TOY_BROKEN')).toBe(true)
    expect(KwaaiError.is(known, 'ERR_TOY_LOST')).toBe(false)
  }
  for (const other of [new Error('x'), { code: 'ERR_TOY_BROKEN' }, null, undefined, 'ERR_TOY_BROKEN', 7]) {
    expect(KwaaiError.is(other)).toBe(false)
  }
})
