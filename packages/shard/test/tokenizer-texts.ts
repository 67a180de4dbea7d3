/** Texts on which our tokenizer and llama.cpp's have to agree: written by hand, and made by a seeded generator. */
import { seededNumbers } from '../src/generate/prng.ts'

const whiteSpace = [
  ' ',
  '\n',
  '\t',
  '\r',
  '\r\n',
  '\v',
  '\f',
  '\u0085',
  '\u00a0',
  '\u1680',
  '\u2003',
  '\u2028',
  '\u3000'
]

const written: readonly string[] = [
  // Plain prose, apostrophes in all cases
  'Hello world',
  'What is a peer-to-peer network?',
  "I'll say it's what they've said; we're sure I'm not, he'd go, don't.",
  "I'LL SAY IT'S WHAT THEY'VE SAID; WE'RE SURE I'M NOT, HE'D GO, DON'T.",
  "'s 't 're 've 'm 'll 'd 'S ’s ’t o'clock 'tis rock'n'roll",
  'Mr. Smith paid $3,000.50 (about €2,750) on 2024-02-29 at 12:34:56.789Z!!!',
  'ALLCAPS camelCase snake_case kebab-case PascalCase SCREAMING_SNAKE x1y2z3',
  'naïve café façade coöperate Ångström smørrebrød Straße Łódź İstanbul ıI',
  // Numbers of many scripts
  '0 1 12 123 1234 12345 123456 1234567890',
  '3.14159 -1e-10 0xDEADBEEF 0b1010 1_000_000 1,234.56',
  '½ ² ³ ¹ ¼ ¾ ⅓ ⅷ Ⅷ ① ⑳ ⒈ 〇 一二三',
  '٠١٢٣٤٥٦٧٨٩ ۰۱۲۳ ०१२३४५ ০১২ ๑๒๓ ໑໒ ༡༢ ၁၂ ០១ 𝟘𝟙𝟚 𐒠𐒡 ４５６',
  'x² y³ H₂O 10⁻³ a1b2 1a2b 7eleven 4ever',
  // Scripts
  '日本語のテキスト。漢字とかなカナ混じり、「引用」と句点。',
  '中文字符测试：今天天气很好，我们去公园吧！',
  '한국어 문장입니다. 안녕하세요? ㄱㄴㄷ',
  'Привет, мир! Съешь ещё этих мягких французских булок.',
  'Ελληνικά: η γρήγορη καφέ αλεπού',
  'مرحبا بالعالم، كيف حالك اليوم؟ اَلْعَرَبِيَّة',
  'שלום עולם, מה שלומך? בְּרֵאשִׁית',
  'नमस्ते दुनिया। क्षत्रिय ज्ञान श्री',
  'বাংলা ভাষা தமிழ் மொழி తెలుగు ಕನ್ನಡ മലയാളം ગુજરાતી ਪੰਜਾਬੀ සිංහල',
  'สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง',
  'ພາສາລາວ မြန်မာဘာသာ ភាសាខ្មែរ བོད་ཡིག ქართული Հայերեն አማርኛ',
  'ᏣᎳᎩ ᐃᓄᒃᑎᑐᑦ ⴰⵎⴰⵣⵉⵖ 𐍈𐌰𐌹 𒀀𒁀 𓀀𓁐',
  // Combining marks and normal forms
  'e\u0301 \u00e9 a\u0308\u0323 o\u0302\u0301 \u0301lone n\u0303n\u0303',
  'Z\u0351\u036b\u0343\u036a\u0302a\u0334\u0335l\u0321\u0362g\u0322o\u0489',
  '\u1100\u1161\u11a8 \uac01 \ufb01\ufb02 \u0130\u0131 \u01c4\u01c5\u01c6',
  // Emoji
  '😀 😂🤣 ❤️ ☺ ☺️ 👍🏽 👩‍💻 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇯🇵 1️⃣ #️⃣ 🫠🪿',
  'text😀text 😀😀😀 a😀b ❤❤️❤︎',
  '\u200d\u200d 👩\u200d \u200d💻 \ufe0f\ufe0e',
  // Control, zero-width, private and odd characters
  '\u0000',
  '\u0001\u0002\u0003',
  'a\u0000b',
  '\u001b[31mred\u001b[0m',
  '\u007f\u0080\u009f',
  '\ufeffbom',
  'a\ufeffb',
  ' \ufeff ',
  '\u200b\u200c\u200d\u2060',
  '\u200e\u200f\u202a\u202e\u2066\u2069',
  '\ue000\uf8ff\u{f0000}\u{10fffd}',
  '\ufffd\ufffe\uffff',
  '\u00ad\u034f\u180e\u3164',
  'a\u0085b',
  'a \u0085 b',
  'a\u2028b\u2029c',
  '\u2000\u2001\u2002x\u202f\u205fy',
  'tab\tand\vand\fand\rend',
  // Symbols and punctuation
  '!@#$%^&*()_+-=[]{}|;\':",./<>?`~',
  '…—–‐‑‒―‖‗‘’‚‛“”„‟†‡•‣',
  '←↑→↓↔⇒∀∂∃∅∇∈∑−∞≠≤≥⊂⊕',
  '©®™°±§¶€£¥₿¢',
  '```',
  '~~~',
  '***bold***',
  '.....',
  '??!!',
  '-----',
  '=====',
  '((()))',
  '[[[',
  '//',
  '\\\\',
  '\\n',
  '""',
  "''",
  // White space
  '',
  ' ',
  '  ',
  '\n',
  '\n\n',
  '\t',
  ' \n',
  '\n ',
  '   a',
  'a   ',
  ' a ',
  '\t\ta\t',
  'a\n\n\nb',
  'a \n b',
  'a\r\nb\r\n',
  '\r\r',
  ' 1',
  '1  2',
  '7 \n8',
  ' \n 9',
  '\u00a0a',
  '\u3000a\u3000',
  'line one\n  line two\n\n\n    line three\t \n',
  // Code
  'def f(x):\n    if x > 0:\n        return x * 2  # twice\n    return None\n',
  'for (let i = 0; i < 10; i++) {\n\tconsole.log(`i=${i}`);\n}\n',
  '#include <stdio.h>\nint main(void) { printf("%d\\n", 42); return 0; }',
  "SELECT * FROM users WHERE name = 'O''Reilly' AND id IN (1,2,3);",
  '<html lang="en"><body class=\'a b\'>&nbsp;&amp;&#8364;</body></html>',
  '{"key": [1, 2.5, null, true], "nested": {"a": "\\u00e9"}}',
  'const re = /^[\\w.+-]+@[a-z\\d-]+(\\.[a-z]{2,})+$/giu',
  "$ curl -sS https://example.org/a?b=c\\&d=%20 | jq '.[] | .id' > /tmp/out.txt 2>&1",
  'https://user:pass@sub.example.co.uk:8080/path/to/file.tar.gz?q=1&r=a+b#frag',
  'C:\\Program Files\\Thing\\file.txt ~/dir/../x ./a/b.c mailto:a.b+c@d.io ftp://1.2.3.4/',
  'import{a}from"b";a?.b??c;a!==b||!c&&(d**=2);x=>x;`a${b}`',
  '\\begin{equation} \\frac{a}{b} = \\sqrt{x^2_i} \\end{equation}',
  // Names of control tokens
  '<|im_start|>',
  '<|im_end|>',
  '<|endoftext|>',
  '<|im_start|>user\nhi<|im_end|>\n',
  'a<|im_end|>b',
  '<|im_end|><|im_end|>',
  ' <|im_start|> ',
  '<|im_start|',
  '|im_start|>',
  '<|im_<|im_end|>start|>',
  '<|IM_START|>',
  '< |im_start|>',
  '<<|im_end|>>',
  '<repo_name>',
  '<reponame>',
  '<file_sep>',
  '<filename>',
  '<gh_stars>',
  '<issue_start>',
  '<issue_comment>',
  '<issue_closed>',
  '<jupyter_start>',
  '<jupyter_text>',
  '<jupyter_code>',
  '<jupyter_output>',
  '<jupyter_script>',
  '<empty_output>',
  'x<reponame>y<filename>z\n<gh_stars>100-1000\n',
  '<|endoftext|>\n<|endoftext|> <|endoftext|>',
  '<s></s><unk><pad>',
  '[INST] hi [/INST]'
]

const alphabets: readonly string[] = [
  'abcdefghijklmnopqrstuvwxyz',
  'ABCXYZ abc  ,.!?\'"-\n',
  '0123456789 .,-',
  '½²³٣①Ⅷ४५〇x ',
  'αβγδε абвгд ΑΒΓ АБВ',
  'ابتثج حخد؟ ־אבגד',
  'कखगघ ँंःािी ্বাংলা',
  '日本語中文漢字かなカナ。、 ',
  '가나다라 각힣ㄱ',
  'ไทยภาษา่้๊ กข',
  'é̀̈ãô a\u0301e\u0300',
  '😀👍🏽👩‍💻❤️🇩🇪☺',
  '{}[]()<>=+-*/;:"\'\\`|&%$#@!~^_ \n\t',
  '<|im_start|><|im_end|> \n'
]

/** So many texts, always the same ones. */
export function tokenizerTexts(generated: number): readonly string[] {
  const random = seededNumbers(20240229)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const texts = [...written]
  // Runs of white space before, between and after.
  for (const space of whiteSpace) {
    for (const count of [1, 2, 3, 7, 16, 33]) {
      const run = space.repeat(count)
      texts.push(run, `${run}a`, `a${run}`, `a${run}b${run}1${run}`, `${run} x`, `x ${run}`)
    }
  }
  for (let i = 0; i < generated; i++) {
    const letters = Array.from({ length: 1 + Math.floor(random() * 3) }, () => [...pick(alphabets)]).flat()
    const length = 1 + Math.floor(random() * 60)
    let text = ''
    for (let at = 0; at < length; at++) {
      const kind = random()
      if (kind < 0.1) text += pick(whiteSpace)
      else if (kind < 0.13) text += String.fromCodePoint(scalar(random()))
      else text += pick(letters)
    }
    texts.push(text)
  }
  return texts
}

/** Letters of Unicode 16 and 17, which llama.cpp does not know yet and the JavaScript engine may. */
const younger: ReadonlySet<number> = new Set([0x88f, 0xc5c, 0xcdc, 0x1c89, 0x1c8a])

/** A Unicode scalar value of the older blocks: the lower half of plane 0, some of plane 1. */
function scalar(unit: number): number {
  const place = Math.floor(unit * (0xa700 + 0x500 + 0x350))
  if (place < 0xa700) return younger.has(place) ? 0x20 : place
  return place < 0xac00 ? place - 0xa700 + 0x10000 : place - 0xac00 + 0x1f300
}
