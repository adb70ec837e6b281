/**
 * Two versions of a dialogue, compared; and whether what is said of them is what comes of it when they are run.
 */
import { assert, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Dialogue from "../../src/Dialogue.ts"
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
