/**
 * Two versions of a dialogue, compared; and whether what is said of them is what comes of it when they are run.
 */
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as Wire from "../../src/Wire.ts"
import { compatible, incompatible, meet, type Next, type Pair } from "../support/dialogueVersions.ts"

const told = ({ newer, older }: Pair): string => Dialogue.formatComparison(Dialogue.compare(older, newer))

/** A side that says one or the other of what is due, the same for the same number, and in the end what stands last. */
const choosing = (seed: number): Next => {
  let left = seed
  return (due) => {
    const message = left === 0 ? due.at(-1)! : due[left % due.length]!
    left = Math.floor(left / due.length)
    return { message, fields: undefined }
  }
}

/** A side that says what it says in a conversation, and then what stands first. */
const saying = ({ conversation }: Dialogue.Parting, role: Dialogue.Role): Next => {
  const lines = conversation.filter(({ from }) => from === role)
  return () => lines.shift()
}

/** Runs both versions against each other, and says whether that agrees with what was said of them. */
const agrees = Effect.fnUntraced(function*(
  sides: { readonly client: Dialogue.Any; readonly server: Dialogue.Any },
  { parting }: Dialogue.Meeting
) {
  if (parting === undefined) {
    for (let seed = 0; seed < 6; seed++) {
      const { client, server } = yield* meet(sides, { client: choosing(seed), server: choosing(seed) })
      const ends = [client, server].toSorted().join(" ")
      assert.include(["ready ready", "refused refusing"], ends, `choices ${seed}`)
    }
    return
  }
  const ends = yield* meet(sides, { client: saying(parting, "client"), server: saying(parting, "server") })
  const speaker = parting.conversation.at(-1)?.from
  if (parting.ends === "refusal") {
    assert.deepEqual(
      ends,
      speaker === "client" ? { client: "refused", server: "confused" } : { client: "confused", server: "refused" }
    )
  } else {
    assert.notInclude(Object.values(ends), "refused")
    assert.notDeepEqual(ends, { client: "ready", server: "ready" })
  }
})

describe("versions that understand each other", () => {
  for (const [name, pair] of Object.entries(compatible)) {
    it(name, () => {
      assert.isTrue(Dialogue.compare(pair.older, pair.newer).isCompatible, told(pair))
    })
  }
})

describe("versions that part", () => {
  it("another word", () => {
    expect(told(incompatible["another word"])).toMatchInlineSnapshot(`
      "greeting

      an older client and a newer server part
        client -> Hello {"version":1}
        the newer server does not read Hello: its words are others than those of Hello there
        it ends in a refusal: the newer server says Denied, and the older client knows that it is refused

      a newer client and an older server part
        client -> Hello {"version":1}
        the older server does not read Hello: its words are others than those of Hello there
        it ends in a refusal: the older server says Denied, and the newer client knows that it is refused
      "
    `)
  })

  it("a version less", () => {
    expect(told(incompatible["a version less"])).toMatchInlineSnapshot(`
      "greeting

      an older client and a newer server part
        client -> Hello {"version":1}
        the newer server does not read Hello: version: only numbers from 2 on are taken
        it ends in a refusal: the newer server says Denied, and the older client knows that it is refused

      a newer client and an older server understand each other
      "
    `)
  })

  it("a member of JSON that may be left out", () => {
    expect(told(incompatible["a member of JSON that may be left out"])).toMatchInlineSnapshot(`
      "greeting

      an older client and a newer server understand each other

      a newer client and an older server part
        client -> Hello {"version":1,"agent":"agent"}
        the older server does not read Hello: there is no agent
        it ends in a refusal: the older server says Denied, and the newer client knows that it is refused
      "
    `)
  })

  it("another layout", () => {
    expect(told(incompatible["another layout"])).toMatchInlineSnapshot(`
      "greeting

      an older client and a newer server part
        client -> Hello {"port":0}
        the newer server does not read Hello: its bytes are others than those of Hello there
        it ends in confusion: the newer server may wait for more of it, or take a part of it for all

      a newer client and an older server part
        client -> Hello {"port":0}
        the older server does not read Hello: its bytes are others than those of Hello there
        it ends in confusion: the older server may wait for more of it, or take a part of it for all
      "
    `)
  })

  it("a question that may be asked", () => {
    expect(told(incompatible["a question that may be asked"])).toMatchInlineSnapshot(`
      "asking

      an older client and a newer server understand each other

      a newer client and an older server part
        client -> Caps
        the older server does not read Caps: there is no message Caps
        it ends in a refusal: the older server says Denied, and the newer client knows that it is refused
      "
    `)
  })

  it("the other side begins", () => {
    expect(told(incompatible["the other side begins"])).toMatchInlineSnapshot(`
      "first

      an older client and a newer server understand each other
        beware: banner: the newer server speaks, and the older client at the same time

      a newer client and an older server part
        the newer client waits in banner, and the older server in hello
        it ends in confusion: both wait for each other
      "
    `)
  })

  it("a last word more", () => {
    expect(told(incompatible["a last word more"])).toMatchInlineSnapshot(`
      "seen

      an older client and a newer server part
        client -> Hello
        server -> Welcome
        the older client is ready, and the newer server is in seen
        it ends in confusion: one is ready, and the other is not

      a newer client and an older server part
        client -> Hello
        server -> Welcome
        the older server is ready, and the newer client is in seen
        it ends in confusion: one is ready, and the other is not
      "
    `)
  })

  it("other lines behind it", () => {
    expect(told(incompatible["other lines behind it"])).toMatchInlineSnapshot(`
      "ending

      an older client and a newer server part
        client -> Hello
        behind the handshake the text "a" is 610a for the older client, and 610d0a for the newer server
        it ends in confusion: both are ready, and do not understand what comes then

      a newer client and an older server part
        client -> Hello
        behind the handshake the text "a" is 610d0a for the newer client, and 610a for the older server
        it ends in confusion: both are ready, and do not understand what comes then
      "
    `)
  })

  it("a new refusal", () => {
    expect(told(incompatible["a new refusal"])).toMatchInlineSnapshot(`
      "busy

      an older client and a newer server part
        client -> Hello
        server -> Busy {"seconds":1}
        the older client does not read Busy: there is no message Busy
        it ends in confusion: the older client does not see that it is refused

      a newer client and an older server understand each other
      "
    `)
  })
})

describe("what is said of two versions comes of running them", () => {
  for (const [name, { newer, older }] of Object.entries({ ...compatible, ...incompatible })) {
    const { newClient, oldClient } = Dialogue.compare(older, newer)
    it.effect(`${name}: an older client`, () => agrees({ client: older, server: newer }, oldClient))
    it.effect(`${name}: a newer client`, () => agrees({ client: newer, server: older }, newClient))
  }
})

it("less time and fewer bytes are told, and part nobody", () => {
  const { newer, older } = compatible["there is less time, and there are fewer bytes"]
  assert.deepEqual(Dialogue.compare(older, newer).oldClient.warnings, [
    "greeting: the newer server takes 60 bytes, and the older client may go up to 100",
    "greeting: the newer server waits 2000 ms, and the older client may go up to 5000"
  ])
  assert.deepEqual(Dialogue.compare(older, newer).newClient.warnings, [])
})

/** What a newer server makes of an older client. */
const oldClient = (older: Dialogue.Any, newer: Dialogue.Any) => Dialogue.compare(older, newer).oldClient

/** A greeting and a welcome. */
const greeting = (
  hello: Schema.Struct.Fields,
  wire?: Wire.Wire<"Hello" | "Welcome" | "Denied">,
  denied: Dialogue.Refused = Dialogue.refused()
) =>
  Dialogue.make()({
    name: "greeting",
    messages: { Hello: hello, Welcome: {}, Denied: {} },
    wire,
    live: Codec.lines(),
    start: "greeting",
    states: {
      greeting: Dialogue.client({ Hello: "verdict" }),
      verdict: Dialogue.server({ Welcome: Dialogue.ready, Denied: denied })
    },
    otherwise: { server: "Denied" }
  })

const layout = (hello: ReadonlyArray<Wire.PartLike>) => Wire.bytes({ Hello: hello, Welcome: [2], Denied: [3] })

describe("what makes two messages the same", () => {
  it("a constant of the one may be a number of the other, if that takes it", () => {
    const constant = greeting({}, layout([5, 1]))
    const number = (version: Schema.Codec<number>) => greeting({ version }, layout([Wire.uint("version", 1), 1]))
    assert.isTrue(oldClient(constant, number(Schema.Int)).isCompatible)
    assert.isFalse(oldClient(constant, number(Schema.Literals([4, 6]))).isCompatible)
    assert.deepEqual(oldClient(number(Schema.Literals([5, 6])), constant).parting?.conversation[0]?.fields, {
      version: 6
    })
  })

  it("nobody can tell where a number of the one is a constant in several messages of the other", () => {
    const two = Dialogue.make()({
      name: "greeting",
      messages: { Five: {}, Six: {} },
      wire: Wire.bytes({ Five: [5], Six: [6] }),
      live: Codec.lines(),
      start: "greeting",
      states: { greeting: Dialogue.client({ Five: Dialogue.ready, Six: Dialogue.ready }) }
    })
    const one = Dialogue.make()({
      name: "greeting",
      messages: { Number: { number: Schema.Literals([5, 6]) } },
      wire: Wire.bytes({ Number: [Wire.uint("number", 1)] }),
      live: Codec.lines(),
      start: "greeting",
      states: { greeting: Dialogue.client({ Number: Dialogue.ready }) }
    })
    assert.isTrue(oldClient(two, one).isCompatible)
    assert.isFalse(oldClient(one, two).parting?.isCertain)
  })

  it("a number that is none of the first message is read as the next one", () => {
    const due = (tags: ReadonlyArray<"Other" | "Hello">) =>
      Dialogue.make()({
        name: "greeting",
        messages: { Other: { text: Schema.String }, Hello: { version: Schema.Int } },
        wire: Wire.bytes({ Other: [5, Wire.string("text", { prefix: 1 })], Hello: [6, Wire.uint("version", 1)] }),
        live: Codec.lines(),
        start: "greeting",
        states: {
          greeting: Dialogue.client(
            Object.fromEntries(tags.map((tag) => [tag, Dialogue.ready])) as Record<"Other" | "Hello", Dialogue.Ready>
          )
        }
      })
    assert.isTrue(oldClient(due(["Hello", "Other"]), due(["Other", "Hello"])).isCompatible)
  })

  it("fields that have changed their places make others", () => {
    const words = (hello: string) => Wire.text(Codec.lines(), { Hello: hello, Welcome: "WELCOME", Denied: "NO" })
    const fields = { user: Schema.String, host: Schema.String }
    const { parting } = oldClient(
      greeting(fields, words("HELLO {user}@{host}")),
      greeting(fields, words("HELLO {host}@{user}"))
    )
    assert.strictEqual(parting?.why, "the newer server does not read Hello: its fields stand in another order in Hello")
  })

  it("other bytes of a codec make others", () => {
    const numbers = (plus: number) =>
      Wire.codec<{ readonly _tag: "Hello" | "Welcome" | "Denied" }>(Codec.map(Codec.fixed(1), {
        decode: ([byte]) => ({ _tag: (["Hello", "Welcome", "Denied"] as const)[byte! - plus]! }),
        encode: ({ _tag }) => Uint8Array.of(["Hello", "Welcome", "Denied"].indexOf(_tag) + plus)
      }))
    assert.isTrue(oldClient(greeting({}, numbers(1)), greeting({}, numbers(1))).isCompatible)
    const { parting } = oldClient(greeting({}, numbers(1)), greeting({}, numbers(2)))
    assert.strictEqual(
      parting?.why,
      "the newer server does not read Hello: it is 01 where it is said, and 02 where it is heard"
    )
  })

  it("another way to cut texts out of bytes makes others", () => {
    const parting =
      oldClient(greeting({}, Wire.json()), greeting({}, Wire.json(Codec.lines({ ending: "\r\n" })))).parting
    assert.strictEqual(parting?.ends, "confusion")
    assert.strictEqual(
      parting?.why,
      "the newer server does not read Hello: the text \"a\" is 610a where it is said, and 610d0a where it is heard"
    )
  })
})

it("what cannot be decided is no understanding, and it is said so", () => {
  const like = (pattern: RegExp) => greeting({ name: Schema.String.check(Schema.isPattern(pattern)) })
  const comparison = Dialogue.compare(like(/^[a-c]+$/), like(/^[a-z]+$/))
  assert.isFalse(comparison.oldClient.parting?.isCertain)
  assert.include(
    Dialogue.formatComparison(comparison),
    "  the newer server does not read Hello: name: only what /^[a-z]+$/ matches is taken\n  if that is so, it ends in a refusal"
  )
})

it("where TLS begins for one side alone, they part", () => {
  const secure = (isSecure: boolean) =>
    Dialogue.make()({
      name: "secure",
      messages: { Secure: {}, Hello: {} },
      live: Codec.lines(),
      start: "greeting",
      states: {
        greeting: Dialogue.client({ Secure: isSecure ? Dialogue.encrypted("hello") : "hello" }),
        hello: Dialogue.client({ Hello: Dialogue.ready })
      }
    })
  assert.isTrue(oldClient(secure(true), secure(true)).isCompatible)
  const { parting } = oldClient(secure(false), secure(true))
  assert.deepEqual(parting?.conversation.map(({ message }) => message), ["Secure"])
  assert.strictEqual(parting?.why, "TLS begins behind Secure for the newer server, and not for the older client")
})

it("whoever takes a refusal for something else goes on alone", () => {
  const denying = (denied: Dialogue.Refused | "verdict") =>
    Dialogue.make()({
      name: "denying",
      messages: { Hello: {}, Welcome: {}, Denied: {} },
      live: Codec.lines(),
      start: "greeting",
      states: {
        greeting: Dialogue.client({ Hello: "verdict" }),
        verdict: Dialogue.server({ Welcome: Dialogue.ready, Denied: denied })
      }
    })
  const { parting } = oldClient(denying("verdict"), denying(Dialogue.refused()))
  assert.deepEqual(parting?.conversation.map(({ message }) => message), ["Hello", "Denied"])
  assert.strictEqual(parting?.ends, "confusion")
})

it("a refusal that is worth another try for one side alone is told", () => {
  const { isCompatible, warnings } = oldClient(
    greeting({}),
    greeting({}, undefined, Dialogue.refused({ retryable: false }))
  )
  assert.isTrue(isCompatible)
  assert.deepEqual(warnings, [
    "Denied in verdict: for good as the newer server says it, worth another try as the older client hears it"
  ])
})

it("snapshots compare as what they were made of", () => {
  const { newer, older } = incompatible["a version less"]
  assert.deepEqual(Dialogue.compare(Dialogue.snapshot(older), newer), Dialogue.compare(older, newer))
})

describe("a dialogue understands itself", () => {
  /** All that is due in its one state. */
  const offering = (messages: Readonly<Record<string, Schema.Struct.Fields>>, wire: Wire.Wire<never>) =>
    Dialogue.make()({
      name: "offering",
      messages,
      // It is that of these messages.
      wire: wire as Wire.Wire<string>,
      live: Codec.lines(),
      start: "offer",
      states: { offer: Dialogue.server(Object.fromEntries(Object.keys(messages).map((tag) => [tag, Dialogue.ready]))) }
    })
  const upper = Codec.mapOrFail(Codec.lines(), {
    decode: (line) => /^[A-Z]{3,}$/.test(line) ? Result.succeed(line) : Result.fail("it is no word"),
    encode: (line: string) => /^[A-Z]{3,}$/.test(line) ? Result.succeed(line) : Result.fail("it is no word")
  })
  const code = Schema.Literals([1, 2])

  const alike: Readonly<Record<string, Dialogue.Any>> = {
    "a constant before a number": offering(
      { Busy: {}, Refused: { code } },
      Wire.bytes({ Busy: [5, 3], Refused: [5, Wire.uint("code", 1)] })
    ),
    "a constant before two numbers, one behind the other": offering(
      { Busy: {}, Refused: { code }, Other: { code: Schema.Int, more: Schema.Int } },
      Wire.bytes({
        Busy: [5, 3, 1],
        Refused: [5, Wire.uint("code", 1), 2],
        Other: [5, Wire.uint("code", 1), Wire.uint("more", 1)]
      })
    ),
    "words behind a line of any words": offering(
      { Said: { text: Schema.String }, No: {} },
      Wire.text(Codec.lines(), { Said: "{text}", No: "NO" })
    ),
    "the same words in capitals and not": offering(
      { Shouted: { count: Schema.Int }, Said: { text: Schema.String } },
      Wire.text(Codec.lines(), { Shouted: "SAY {count}", Said: "say {text}" }, { ignoreCase: true })
    ),
    "frames that carry none of the texts that are tried": offering(
      { Hello: {} },
      Wire.text(upper, { Hello: "HELLO" })
    ),
    "a codec of its own, of whose message there is no example": offering(
      { Hello: { odd: Schema.String.check(Schema.makeFilter((text: string) => text === "only this")) } },
      Wire.codec<{ readonly _tag: "Hello"; readonly odd: string }>(Codec.map(Codec.lines(), {
        decode: (odd) => ({ _tag: "Hello" as const, odd }),
        encode: ({ odd }) => odd
      }))
    ),
    "what is said otherwise looks like any words": Dialogue.make()({
      name: "otherwise",
      messages: { Said: { text: Schema.String }, No: {} },
      wire: Wire.text(Codec.lines(), { Said: "{text}", No: "NO" }),
      live: Codec.lines(),
      start: "one",
      states: { one: Dialogue.client({ Said: Dialogue.ready }) },
      otherwise: { client: "No" }
    })
  }
  for (const [name, dialogue] of Object.entries(alike)) {
    it(name, () => {
      assert.isTrue(Dialogue.compare(dialogue, dialogue).isCompatible, told({ older: dialogue, newer: dialogue }))
      const kept: unknown = JSON.parse(JSON.stringify(Dialogue.snapshot(dialogue)))
      const snapshot = Result.getOrThrow(Dialogue.parseSnapshot(kept))
      assert.isTrue(Dialogue.compare(snapshot, dialogue).isCompatible)
      assert.isTrue(Dialogue.compare(dialogue, snapshot).isCompatible)
    })
  }

  const bySide = (client: Codec.Codec<string, string>) =>
    Dialogue.make()({
      name: "by side",
      messages: { Hello: {} },
      live: { server: Codec.lines(), client },
      start: "greeting",
      states: { greeting: Dialogue.client({ Hello: Dialogue.ready }) }
    })

  it("codecs of each side's own go together behind it, and others do not", () => {
    const crlf = bySide(Codec.lines({ ending: "\r\n" }))
    assert.isTrue(Dialogue.compare(crlf, bySide(Codec.lines({ ending: "\r\n" }))).isCompatible)
    const whole = Dialogue.make()({
      name: "by side",
      messages: { Hello: {} },
      live: Codec.lines({ ending: "\0" }),
      start: "greeting",
      states: { greeting: Dialogue.client({ Hello: Dialogue.ready }) }
    })
    assert.strictEqual(
      Dialogue.compare(crlf, whole).oldClient.parting?.why,
      "behind the handshake the text \"a\" is 610d0a for the older client, and 6100 for the newer server"
    )
  })

  const layouts = (busy: number, codes: ReadonlyArray<number>) =>
    offering(
      { Busy: {}, Refused: { code: Schema.Literals(codes) } },
      Wire.bytes({ Busy: [5, busy], Refused: [5, Wire.uint("code", 1)] })
    )

  it("a value more is understood by whoever chooses alike, and by nobody who does not know it", () => {
    const comparison = Dialogue.compare(layouts(3, [1, 2]), layouts(3, [1, 2, 4]))
    assert.isTrue(comparison.newClient.isCompatible)
    assert.isTrue(comparison.oldClient.parting?.isCertain)
    assert.deepEqual(comparison.oldClient.parting?.conversation[0]?.fields, { code: 4 })
  })

  it("nobody is sure of messages that are looked for otherwise", () => {
    assert.isFalse(Dialogue.compare(layouts(3, [1, 2]), layouts(2, [1, 2])).isCompatible)
  })

  it("a message that begins with another byte changes nothing", () => {
    const more = offering(
      { Busy: {}, Wait: {}, Refused: { code } },
      Wire.bytes({ Busy: [5, 3], Wait: [6, 1], Refused: [5, Wire.uint("code", 1)] })
    )
    assert.isTrue(Dialogue.compare(layouts(3, [1, 2]), more).newClient.isCompatible)
  })
})
