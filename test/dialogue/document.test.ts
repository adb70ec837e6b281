/**
 * The document of a dialogue.
 */
import { assert, expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as Wire from "../../src/Wire.ts"
import { Whole } from "../support/dialogueWhole.ts"

const whole = Dialogue.document(Whole)

/** What stands under a title. */
const under = (title: string, document = whole): string => {
  const lines = document.split("\n")
  const from = lines.indexOf(title) + 1
  assert.isAbove(from, 0, `${title} is there`)
  const length = lines.slice(from).findIndex((line) => /^#{1,3} /.test(line))
  return lines.slice(from, length === -1 ? undefined : from + length).join("\n").trim()
}

it("it says who begins, and what messages are made of", () => {
  expect(under("# whole")).toMatchInlineSnapshot(`
    "The client begins, in the state greeting. What is not due in a state breaks the rules there.

    Messages are texts in UTF-8, each with "\\\\n" behind it (0a), where a state does not say otherwise."
  `)
})

it("it has the diagram", () => {
  assert.include(under("## Who says what, and when"), Dialogue.diagram(Whole).trimEnd())
})

it("a state has whose turn it is, its bounds, what may be said, and where that leads", () => {
  expect(under("### greeting")).toMatchInlineSnapshot(`
    "The client speaks, within 10s, in at most 100 bytes, at most 16 times. Whoever comes to it more often breaks the rules.

    Here messages are texts in UTF-8, each with "\\\\r\\\\n" behind it (0d 0a).

    | said | leads to |
    |---|---|
    | \`Hello\` | challenge |
    | \`Caps\` | caps |
    | \`Secure\` | TLS begins behind it, then secure |"
  `)
  expect(under("### peers")).toMatchInlineSnapshot(`
    "Both sides speak, and neither waits for the other, within 10s.

    | said | leads to |
    |---|---|
    | \`Hi\` | the handshake is done |
    | \`Denied\` | refused for good |"
  `)
})

it("a message of text has its fields, its template and an example", () => {
  expect(under("### Hello")).toMatchInlineSnapshot(`
    "Said by the client in greeting and secure.

    | field | takes | is |
    |---|---|---|
    | \`version\` | 1 or 2 | checked by whoever receives it |
    | \`agent\` | text of at most 20 characters | any value will do |

    The text \`HELLO {version}|{agent}\`, with its fields in place of their names in braces; the case of letters does not count.

    With \`{"version":1,"agent":"agent"}\`:

    \`\`\`
    48 45 4c 4c 4f 20 31 7c 61 67 65 6e 74 0d 0a     HELLO 1|agent..
    \`\`\`"
  `)
})

it("a message of bytes has its layout", () => {
  expect(under("### Login")).toMatchInlineSnapshot(`
    "Said by the client in login.

    | field | takes | is |
    |---|---|---|
    | \`port\` | integer | checked by whoever receives it |
    | \`user\` | text of at least 1 character | checked by whoever receives it |
    | \`key\` | bytes | a secret: shown nowhere; checked by whoever receives it |
    | \`password\` | text | a secret: shown nowhere; checked by whoever receives it |
    | \`ways\` | list of integer | checked by whoever receives it |

    | offset | bytes | what |
    |---|---|---|
    | 0 | 1 | \`01\` |
    | 1 | 5 | \`4c 4f 47 49 4e\`, the text \`LOGIN\` |
    | 6 | 2 | \`port\`, an unsigned integer, big-endian |
    | 8 | 1 | how many bytes \`user\` has |
    | 9 | as many | \`user\`, text in UTF-8 |
    | then | 1 to 6 | how many bytes the parts behind it have (seven bits a byte, the lowest first; all but the last byte with the highest bit set) |
    | then | 4 | ↳ \`key\`, bytes |
    | then | up to the ending | ↳ \`password\`, text in UTF-8 |
    | then | 1 | ↳ \`00\` |
    | then | 1 | how many numbers \`ways\` has |
    | then | 1 each | \`ways\`, unsigned integers |

    With \`{"port":1,"user":"user","key":"bWFkZQ==","password":"made-up-secret","ways":[1,2]}\`, whose secrets are made up:

    \`\`\`
    01 4c 4f 47 49 4e 00 01 04 75 73 65 72 13 6d 61  .LOGIN...user.ma
    64 65 6d 61 64 65 2d 75 70 2d 73 65 63 72 65 74  demade-up-secret
    00 02 01 02                                      ....
    \`\`\`"
  `)
})

it("a message of JSON has its members", () => {
  expect(under("### Hi")).toMatchInlineSnapshot(`
    "Said by both sides in peers.

    | field | takes | is |
    |---|---|---|
    | \`flags\` | list of text | checked by whoever receives it |
    | \`note\` | text | checked by whoever receives it; may be left out |

    One JSON object, whose member \`_tag\` is \`"Hi"\`; its fields are the other members. Spaces and the order of members mean nothing; a member that is not named here is refused.

    With \`{"flags":["flags","flags-2"],"note":"note"}\`:

    \`\`\`
    7b 22 5f 74 61 67 22 3a 22 48 69 22 2c 22 66 6c  {"_tag":"Hi","fl
    61 67 73 22 3a 5b 22 66 6c 61 67 73 22 2c 22 66  ags":["flags","f
    6c 61 67 73 2d 32 22 5d 2c 22 6e 6f 74 65 22 3a  lags-2"],"note":
    22 6e 6f 74 65 22 7d 0a                          "note"}.
    \`\`\`"
  `)
})

it("a message of a codec has examples", () => {
  expect(under("### Number")).toMatchInlineSnapshot(`
    "Said by the server in number.

    | field | takes | is |
    |---|---|---|
    | \`value\` | integer from 1 to 9 | checked by whoever receives it |

    Its bytes are made by a codec of its own; see the examples.

    With \`{"value":1}\`:

    \`\`\`
    01                                               .
    \`\`\`

    With \`{"value":2}\`:

    \`\`\`
    02                                               .
    \`\`\`

    With \`{"value":3}\`:

    \`\`\`
    03                                               .
    \`\`\`"
  `)
})

it("a message that is said to whoever breaks the rules is told as it looks in each state", () => {
  expect(under("### Denied")).toMatchInlineSnapshot(`
    "Said by both sides in peers and by the server to whoever breaks the rules.

    | field | takes | is |
    |---|---|---|
    | \`why\` | text | checked by whoever receives it |

    In greeting and secure:

    The text \`NO {why}\`, with its fields in place of their names in braces; the case of letters does not count.

    With \`{"why":"why"}\`:

    \`\`\`
    4e 4f 20 77 68 79 0d 0a                          NO why..
    \`\`\`

    In login:

    | offset | bytes | what |
    |---|---|---|
    | 0 | 1 | \`ff\` |
    | 1 | 2 | how many bytes \`why\` has (big-endian) |
    | 3 | as many | \`why\`, text in UTF-8 |

    With \`{"why":"why"}\`:

    \`\`\`
    ff 00 03 77 68 79                                ...why
    \`\`\`

    In peers:

    One JSON object, whose member \`_tag\` is \`"Denied"\`; its fields are the other members. Spaces and the order of members mean nothing; a member that is not named here is refused.

    With \`{"why":"why"}\`:

    \`\`\`
    7b 22 5f 74 61 67 22 3a 22 44 65 6e 69 65 64 22  {"_tag":"Denied"
    2c 22 77 68 79 22 3a 22 77 68 79 22 7d 0a        ,"why":"why"}.
    \`\`\`"
  `)
})

it("refusals are told with their codes, and when to come back", () => {
  expect(under("## Refusals")).toMatchInlineSnapshot(`
    "| message | said in | worth another try | code | when |
    |---|---|---|---|---|
    | \`Busy\` | challenge | yes | in \`code\` | not before \`seconds\`, in seconds |
    | \`Denied\` | peers | no | \`E5\` | not told |"
  `)
})

it("it is told what is said to whoever breaks the rules", () => {
  expect(under("## To whoever breaks the rules")).toMatchInlineSnapshot(`
    "Whoever receives what is not due, what is no message, too many bytes, or nothing in time, ends the handshake.

    - The server says \`Denied\` with \`{"why":"speak properly"}\` first, and so it does to whom it turns away.
    - The client says something, or nothing, which depends on why, first."
  `)
})

it("it is told what is spoken behind the handshake", () => {
  expect(under("## Behind the handshake")).toMatchInlineSnapshot(
    `"The server sends and receives frames, each with "\\\\n" behind it (0a); the client frames, each behind the number of its bytes in 4 bytes, big-endian."`
  )
})

it("a snapshot has the same document", () => {
  assert.strictEqual(Dialogue.document(Dialogue.snapshot(Whole)), whole)
})

it("it is the same each time", () => {
  const made = () =>
    Dialogue.make()({
      name: "same",
      messages: { Hello: { who: Schema.String.check(Schema.isPattern(/^[a-f]{7}$/)) } },
      live: Codec.lines(),
      start: "greeting",
      states: { greeting: Dialogue.client({ Hello: Dialogue.ready }) }
    })
  assert.strictEqual(Dialogue.document(made()), Dialogue.document(made()))
})

it("names and words that have bars, stars or backticks in them break no table and no paragraph", () => {
  const odd = Dialogue.document(
    Dialogue.make()({
      name: "a|b *c*",
      messages: { "He|lo": { "`|`": Schema.String.check(Schema.isPattern(/^[a|*]+$/)) } },
      wire: Wire.text(Codec.lines(), { "He|lo": "`H` | {`|`}" }),
      live: Codec.lines(),
      start: "sta|te",
      states: { "sta|te": Dialogue.client({ "He|lo": Dialogue.ready }) }
    })
  )
  expect(under("### He|lo", odd)).toMatchInlineSnapshot(`
    "Said by the client in sta|te.

    | field | takes | is |
    |---|---|---|
    | \`\` \`\\|\` \`\` | text; a string matching the RegExp ^\\[a\\|\\*\\]+$ | checked by whoever receives it |

    The text \`\` \`H\` | {\`|\`} \`\`, with its fields in place of their names in braces.

    With \`\`{"\`|\`":"a**|*|**|**|"}\`\`:

    \`\`\`
    60 48 60 20 7c 20 61 2a 2a 7c 2a 7c 2a 2a 7c 2a  \`H\` | a**|*|**|*
    2a 7c 0a                                         *|.
    \`\`\`"
  `)
  const rows = odd.split("\n").filter((line) => line.startsWith("|"))
  assert.deepEqual(rows.map((row) => row.match(/(?<!\\)\|/g)!.length), [3, 3, 3, 4, 4, 4])
})

it("a constant that is a space is no text that anybody sees", () => {
  const flags = Dialogue.make()({
    name: "flags",
    messages: { Ack: {}, Nak: {} },
    wire: Wire.bytes({ Ack: [0x20], Nak: ["! !"] }),
    live: Codec.lines(),
    start: "ack",
    states: { ack: Dialogue.server({ Nak: Dialogue.ready, Ack: Dialogue.ready }) }
  })
  const document = Dialogue.document(flags)
  assert.include(under("### Ack", document), "| 0 | 1 | `20` |")
  assert.include(under("### Nak", document), "| 0 | 3 | `21 20 21`, the text `! !` |")
})
