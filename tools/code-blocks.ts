import type { TextFile } from './repository.ts'

/** One TypeScript example that stands in a text. */
export interface CodeBlock {
  path: string
  /** The line its first line of code has in the text, counted from 1. */
  line: number
  code: string
  /** False for ```ts no-run: the types are checked, nothing is executed. */
  runs: boolean
}

/** The ```ts blocks of a Markdown file. */
export function markdownBlocks({ path, text }: TextFile): CodeBlock[] {
  const blocks: CodeBlock[] = []
  let open: { line: number; runs: boolean; indent: number } | undefined
  let fence = ''
  let code: string[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const [, indent = '', mark = '', info = ''] = /^( *)(`{3,}|~{3,})(.*)$/.exec(line) ?? []
    if (fence === '') {
      if (mark === '') continue
      fence = mark
      code = []
      const [language, ...flags] = info.trim().split(/\s+/)
      open =
        language === 'ts' || language === 'typescript'
          ? { line: index + 2, runs: !flags.includes('no-run'), indent: indent.length }
          : undefined
    } else if (mark.startsWith(fence) && info.trim() === '') {
      fence = ''
      if (open !== undefined) blocks.push({ path, line: open.line, code: code.join('\n'), runs: open.runs })
    } else if (open !== undefined) {
      code.push(line.slice(open.indent))
    }
  }
  return blocks
}

/** The ```ts blocks in the documentation comments of a TypeScript file. */
export function commentBlocks({ path, text }: TextFile): CodeBlock[] {
  return [...text.matchAll(/\/\*\*[^]*?\*\//g)].flatMap((comment) => {
    const before = text.slice(0, comment.index).split('\n').length - 1
    const inner = comment[0].replace(/^ *\/?\*+ ?|\*\/$/gm, '')
    return markdownBlocks({ path, text: inner }).map((block) => ({ ...block, line: block.line + before }))
  })
}
