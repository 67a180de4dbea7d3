import type { ChatMessage } from '@kwaai/interface'
import type { Oracle } from '../../../shard/test/oracle/index.ts'

/** A question with its one right answer. */
export interface Question {
  messages: ChatMessage[]
  /** What the client's own template makes of them, as llama.cpp's tokenizer reads it. */
  prompt: number[]
  /** Tokens of the answer at most. */
  count: number
  /** The answer of `count` tokens, whatever is among them. */
  tokens: number[]
  /** The answer as a chat ends it: at an end token, that one included. */
  chatTokens: number[]
  /** Logits that gave the last of `tokens`. */
  last: Float32Array
}

const system = 'Answer in a few words.'

// Sentences of our own, for questions that are long.
const letters = `
Dear neighbours, the well in the lower garden has to be cleaned before the first frost comes.
We need four people with boots, two buckets, and somebody who is not afraid of frogs.
The rope was replaced in March, but the crank still squeaks so loudly that the dogs complain.
Last year the work took us three hours, and afterwards there was soup for eleven.
Whoever brings bread should know that Anna does not eat caraway and Otto eats nothing else.
The key to the shed hangs behind the blue door, beside a calendar that nobody has turned since May.
If it rains we meet one day later, at nine, and not at eight as the old notice says.
The pump belongs to the school and has to be back there on Monday, clean and without leaves in it.
Please do not park in front of the bakery, because its van leaves at a quarter to six.
There are 230 litres in the tank; half of it is for the trees, a quarter for the goats.
The lamp in the shed is broken, so bring your own light, but no candles on account of the straw.
In the end we will write down what was done, who did it, and how much of the soup was left.
`
  .trim()
  .split('\n')

const asked: readonly (readonly [question: string, first: number, sentences: number])[] = [
  ['What is a peer-to-peer network?', 0, 0],
  ['Why is the sky blue?', 0, 0],
  ['Name three rivers in Europe.', 0, 0],
  ['What is 17 plus 25?', 0, 0],
  ['Write one line about the sea.', 0, 0],
  ['How do bees find their way home?', 0, 0],
  ['Translate "good morning" into French.', 0, 0],
  ['Which is heavier, a kilogram of iron or of feathers?', 0, 0],
  ['What is described here?', 0, 2],
  ['How many people are needed?', 1, 2],
  ['What is wrong with the crank?', 2, 3],
  ['Who likes caraway?', 3, 3],
  ['Where is the key?', 5, 3],
  ['When do we meet if it rains?', 6, 3],
  ['What has to be done on Monday?', 7, 4],
  ['How much water is there for the goats?', 8, 4],
  ['Summarise this letter.', 0, 6],
  ['List what people should bring.', 1, 8],
  ['Write a short answer to this letter.', 0, 11],
  ['What did the writer forget to say?', 0, 12]
]

/** The twenty questions, answered by llama.cpp; `onAnswer` hears how many are there. */
export async function answerQuestions(
  oracle: Oracle,
  onAnswer: (count: number) => void
): Promise<Question[]> {
  const questions: Question[] = []
  const ends = new Map<number, boolean>()
  for (const [index, [question, first, sentences]] of asked.entries()) {
    const user = [...letters.slice(first, first + sentences), question].join('\n')
    const text = `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\n${user}<|im_end|>\n<|im_start|>assistant\n`
    const prompt = await oracle.tokenize(text, true)
    const count = 24 + ((index * 7) % 25)
    const { tokens, last } = await oracle.generate(prompt, count)
    for (const token of tokens) if (!ends.has(token)) ends.set(token, await oracle.isEog(token))
    const end = tokens.findIndex((token) => ends.get(token))
    questions.push({
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: user }
      ],
      prompt,
      count,
      tokens,
      chatTokens: end < 0 ? tokens : tokens.slice(0, end + 1),
      last
    })
    onAnswer(questions.length)
  }
  return questions
}
