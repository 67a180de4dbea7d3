import { expect, test } from 'vitest'
import { longFiles } from './long-first.ts'
import { repositoryFiles } from './repository.ts'

test('what runs first is there', () => {
  const files = repositoryFiles()
  expect(longFiles.filter((path) => !files.includes(path))).toEqual([])
})
