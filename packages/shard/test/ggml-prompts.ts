import type { Oracle } from './oracle/index.ts'

// Sentences of our own; a prompt is a run of them.
const sentences = `
The ferry left the island at six in the morning, before the fog had lifted from the harbour.
Nobody on deck spoke; the only sounds were the engine and a radio playing softly in the galley.
Mara counted the crates again: eleven of apples, four of pears, and one that held nothing but straw.
She had promised her brother to bring back two spare bulbs, a coil of wire and 40 metres of rope.
In the year 1987 the old lighthouse was switched off, and since then boats find their way by numbers.
A compass, her grandfather used to say, is honest only as long as you keep iron away from it.
To bake the dark bread of the village you need rye flour, water, salt and a good deal of patience.
Let the dough rest for twelve hours, fold it three times, and do not open the oven before it sings.
The council met on Tuesday to decide whether the bridge should be repaired or replaced.
Seven members voted for the repair, five against it, and one had fallen asleep near the window.
const total = prices.reduce((sum, price) => sum + price, 0) // the whole bill, in cents
If the total is above 250, the delivery is free; otherwise it costs 4.90 and takes two days.
A river does not hurry, yet it reaches the sea, carrying with it sand, leaves and lost hats.
Engineers measured the flow at nine places and found the strongest current below the mill.
The museum keeps a clock whose hands turn backwards, built by a watchmaker with a sense of humour.
Children understand it at once, while their parents stand before it and check their telephones.
When snow falls on the pass, the bus stops at the inn and the travellers play cards until noon.
The innkeeper charges nothing for tea, but everybody who wins a game must tell a story.
One of them told of a valley in which every house has a blue door, and nobody remembers why.
Another had crossed a desert with two camels, a broken lamp and a dictionary of birds.
Please sort these words by length: cat, mountain, a, window, tree, extraordinary, be.
Then explain in plain words what a network is, and why it may work although parts of it fail.
The temperature sank to minus 12.5 degrees during the night, and the well froze to the bottom.
Early next day the smith lit his fire, and half the village came to warm their hands.
A letter arrived without a stamp; it had been carried by eleven people, each a little further.
It asked for seeds of a bean that grows only on the southern slope, beside the chapel.
The gardener wrapped thirty of them in paper, wrote the date on it, and sent them the same way back.
Months later a drawing came in return, which showed the bean climbing up a tall iron fence.
`
  .trim()
  .split('\n')

/** For each prompt its first sentence and how many follow it. */
const runs: readonly (readonly [first: number, count: number])[] = [
  [15, 2],
  [20, 2],
  [12, 3],
  [6, 4],
  [8, 4],
  [0, 7],
  [10, 9],
  [14, 14],
  [0, 24],
  [3, 32]
]

/** Indices into {@link prompts}: under 64 tokens, about 100, more than 512. */
export const shortList: readonly number[] = [1, 4, 8]

/** Ten prompts in the default model's chat format, as tokens. */
export async function prompts(oracle: Oracle): Promise<number[][]> {
  const texts = runs.map(([first, count]) => {
    const message = [...sentences, ...sentences].slice(first, first + count).join(' ')
    return `<|im_start|>user\n${message}<|im_end|>\n<|im_start|>assistant\n`
  })
  return oracle.tokenizeAll(texts, true)
}
