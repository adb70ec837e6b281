/**
 * The twelve laws of a handshake.
 *
 * @internal
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import * as Handshake from "../../Handshake.ts"
import { isHandshakeError } from "../../HandshakeError.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import * as Pipeline from "../../Pipeline.ts"
import * as Transport from "../../Transport.ts"
import { isTransportError } from "../../TransportError.ts"
import * as Rung from "../Rung.ts"
import * as ScriptedPeer from "../ScriptedPeer.ts"
import type { Behind, Peer, Plan, Role, Side, Stop, Talk } from "./conversation.ts"
import { otherRole } from "./conversation.ts"
import * as Coverage from "./coverage.ts"
import * as Suite from "./suite.ts"
import * as Trial from "./trial.ts"
import * as Watch from "./watch.ts"

type Any = Transport.Transport.Any

/**
 * A message that was said at the wrong time, for `accepts` to say that it may be said there after all.
 */
export interface WrongTurn {
  /** Which side has heard it. */
  readonly side: Role
  /** The number of the message in whose place it came, from 0. */
  readonly index: number
  /** What was said there. */
  readonly said: Uint8Array
  /** What was due. */
  readonly due: Uint8Array
  /** All that is due, message by message. */
  readonly messages: ReadonlyArray<Uint8Array>
}

type Text = string | Uint8Array

export interface Options<S extends Any, C extends Any> extends Suite.CheckOptions {
  /** What it is called in the names of the tests and in violations. */
  readonly name: string
  readonly server?: Effect.Effect<S, unknown, Socket.Socket | Scope.Scope> | undefined
  readonly client?: Effect.Effect<C, unknown, Socket.Socket | Scope.Scope> | undefined
  /** Plays the side that is not given: a script, or whatever speaks over a `Socket`. */
  readonly peer?: Peer | ScriptedPeer.Script | undefined
  /** Registers one test for each law: `it` of Vitest or of `@effect/vitest`, `test` of `node:test`. */
  readonly it?: Suite.Register | undefined
  /** What it is tried on. Default: `Rung.pure`, `Rung.memory` and `Rung.simulated()`. */
  readonly rungs?: ReadonlyArray<Rung.Rung> | undefined
  /**
   * The time within which the handshake promises to be done, by a deadline of its own. Default: none; the laws set one, as
   * `Server` and `Client` do.
   */
  readonly deadline?: Duration.Input | undefined
  /** How many bytes of one message it may take before it refuses it. Default: 128 KiB. */
  readonly maxBytes?: number | undefined
  /** What must never show, as it is sent or as it is known. Without any, law 9 has nothing to look for and is skipped. */
  readonly secrets?: ReadonlyArray<Text | Redacted.Redacted<string>> | undefined
  /** Further messages that are wrong wherever they come, as bytes: said to the server, or to the client. */
  readonly wrong?:
    | { readonly server?: ReadonlyArray<Text> | undefined; readonly client?: ReadonlyArray<Text> | undefined }
    | undefined
  /** Whether a message may stand in the place of another after all. Default: none may. */
  readonly accepts?: ((turn: WrongTurn) => boolean) | undefined
  /** The last word of a side to whoever says something wrong, as bytes; one of these, where it has several. */
  readonly refusal?: {
    readonly server?: Text | ReadonlyArray<Text> | undefined
    readonly client?: Text | ReadonlyArray<Text> | undefined
  } | undefined
  /**
   * Whether a client may be ready before it hears that there is no room, because its protocol lets a server say so behind the
   * handshake, as HTTP/2 does. Default: false.
   */
  readonly lateRefusal?: boolean | undefined
  /**
   * Which side makes something fresh for each connection, such as a nonce, so that it must not accept what was said on
   * another one. Default: none.
   */
  readonly fresh?: { readonly server?: boolean | undefined; readonly client?: boolean | undefined } | undefined
  /** What each side has learned in the handshake: a value, or an Effect of one. Both must be equal. */
  readonly negotiated?:
    | {
      readonly server: (transport: S) => unknown
      readonly client: (transport: C) => unknown
    }
    | undefined
  /** What is called behind the handshake: each call must get the answer to its own request. */
  readonly calls?:
    | {
      readonly serve: (transport: S) => Effect.Effect<unknown, unknown>
      readonly requests: ReadonlyArray<Transport.Transport.Out<C>>
      readonly respond: (request: Transport.Transport.Out<C>) => Transport.Transport.In<C>
    }
    | undefined
  /** How much of something of yours handshakes hold now, such as permits. Law 7 looks whether it is given back. */
  readonly held?: Effect.Effect<number> | undefined
  /** Runs before each conversation: for a server that remembers something, such as how often somebody has failed. */
  readonly reset?: Effect.Effect<void> | undefined
  /** What to wait for, in real time, before a handshake is taken to be waiting for its peer. Default: one turn. */
  readonly breathe?: Effect.Effect<void> | undefined
}

export interface HandshakeSuite extends Suite.Suite {
  readonly coverage: Effect.Effect<Coverage.Report>
}

const encoder = new TextEncoder()

const bytesOf = (text: Text): Uint8Array => typeof text === "string" ? encoder.encode(text) : text

const nothing = new Uint8Array(0)

// ---------------------------------------------------------------------------------------------------------------------
// Cases
// ---------------------------------------------------------------------------------------------------------------------

const ints = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** How what is said is cut, and the seed of whatever else is left to chance. */
interface Cutting {
  readonly lengths: ReadonlyArray<number>
  readonly seed: number
  /** Whether time passes between the pieces. */
  readonly slow: boolean
}

const cuttings: Arbitrary.Arbitrary<Cutting> = Arbitrary.all({
  lengths: Arbitrary.array(ints(1, 20), { minLength: 1, maxLength: 6 }),
  seed: ints(0, 0x7fff_ffff),
  slow: Arbitrary.schema(Schema.Boolean)
})

/** All of it takes no more than a good second, far from any deadline. */
const pacing = ({ slow }: Cutting, said: number): Plan["pace"] =>
  slow ? { millis: Math.min(50, 1200 / Math.max(1, said)) } : undefined

const bytes = (maxLength: number) =>
  Arbitrary.map(Arbitrary.array(ints(0, 255), { maxLength }), (numbers) => Uint8Array.from(numbers))

const inPieces = ({ lengths, slow }: Pick<Cutting, "lengths" | "slow">): string =>
  `in pieces of ${lengths.join(", ")} bytes${slow ? ", one after another" : ""}`

/** Something that is said in the place of a message. */
interface Candidate {
  readonly index: number
  readonly said: Uint8Array
  readonly what: string
}

/**
 * Almost a message. Its last byte is kept where that may end it: what is cut or longer is to be a message, too.
 */
const nearMissesOf = (message: Uint8Array): ReadonlyArray<{ readonly said: Uint8Array; readonly what: string }> => {
  const end = message.length - 1
  if (end < 1) return []
  const [body, last] = [message.subarray(0, end), message.subarray(end)]
  const changed = [...new Set([0, Math.floor(end / 2), end - 1])].map((at) => {
    const said = new Uint8Array(message)
    said[at] ^= 1
    return { said, what: `the same with another byte ${at}` }
  })
  return [
    ...changed,
    { said: concat([body, encoder.encode("x"), last]), what: "the same with an x behind it" },
    { said: concat([encoder.encode("x"), message]), what: "the same with an x before it" },
    { said: concat([body.subarray(0, Math.floor(end / 2)), last]), what: "the first half of it" },
    {
      said: concat([body.subarray(0, Math.max(0, body.lastIndexOf(0x20))), last]),
      what: "the same without its last word"
    },
    { said: last, what: "nothing of it but its last byte" }
  ]
}

/**
 * What is wrong at its place: whatever is legal elsewhere, as the peer's other messages and the side's own, what is almost
 * the message, and what the user knows of.
 */
const candidatesOf = (trial: Trial.Trial, reference: Trial.Reference, options: AnyOptions): Array<Candidate> => {
  const { messages, talk } = reference
  const others = [
    ...messages.map((said, i) => ({ said, what: `message ${i + 1} of its peer` })),
    ...talk.written.map((said) => ({ said, what: "what the side has said itself" })),
    ...(options.wrong?.[trial.side.role] ?? []).map((text) => ({ said: bytesOf(text), what: "a wrong message" }))
  ]
  const found: Array<Candidate> = []
  messages.forEach((due, index) => {
    const seen: Array<Uint8Array> = [due]
    for (const { said, what } of [...others, ...nearMissesOf(due)]) {
      if (seen.some((other) => Trial.firstDifference(other, said) === -1)) continue
      seen.push(said)
      if (options.accepts?.({ side: trial.side.role, index, said, due, messages }) === true) continue
      found.push({ index, said, what })
    }
  })
  return found
}

/** The places where it is worth to stop: around each border, in the middle of each message, and where there is room, all. */
const stopsOf = (reference: Trial.Reference, upTo: number, most: number): ReadonlyArray<number> => {
  const stops = new Set<number>()
  if (upTo < most) { for (let i = 0; i <= upTo; i++) stops.add(i) }
  else {
    const { borders } = reference
    borders.forEach((border, i) => {
      const next = borders[i + 1] ?? border
      for (const at of [border, border + 1, Math.floor((border + next) / 2), next - 1]) stops.add(at)
    })
    for (let i = 0; i < most / 2; i++) stops.add(Math.floor((i * upTo) / (most / 2)))
  }
  return [...stops].filter((at) => at >= 0 && at <= upTo).sort((a, b) => a - b)
}

// ---------------------------------------------------------------------------------------------------------------------
// The laws
// ---------------------------------------------------------------------------------------------------------------------

type AnyOptions = Options<any, any>

/** What a law does on one rung for one side. */
interface Attempt {
  readonly trial: Trial.Trial
  /** The handshake as it was given, which the trial bounds. */
  readonly handshake: Side["handshake"]
  readonly reference: Trial.Reference
  readonly options: AnyOptions
  readonly coverage: Coverage.Counter
  /** A property over cases that are drawn and shrunk. It has all of the law's runs, or a share of them. */
  readonly property: <A>(
    cases: Arbitrary.Arbitrary<A>,
    holds: (value: A) => Effect.Effect<void, Suite.Problem>,
    share?: number
  ) => Effect.Effect<void, Suite.LawViolation | Suite.Problem>
  /**
   * Tries the cases of a list: all of them where time is virtual, else at most so many, evenly spread, some of them at once.
   */
  readonly each: <A>(
    cases: ReadonlyArray<A>,
    check: (value: A) => Effect.Effect<void, Suite.Problem>,
    most?: number
  ) => Effect.Effect<void, Suite.Problem>
}

type Check = (attempt: Attempt) => Effect.Effect<void, Suite.LawViolation | Suite.Problem>

const problem = (
  { trial }: Attempt,
  talk: Talk,
  what: { readonly scenario: string; readonly expected: string; readonly actual: string }
): Suite.Problem => ({ ...what, diagram: Trial.diagram(trial.side, talk) })

/** A message is replaced, and the connection goes on. */
const replaced = (index: number, said: Uint8Array): Plan => ({
  say: (i, message) => i === index ? said : message
})

const nth = (index: number): string => `message ${index + 1}`

/** What somebody can tell of a conversation who looks at the side under test. */
const fingerprint = (talk: Talk): Record<string, unknown> => {
  const error = talk.exit !== undefined && Exit.isFailure(talk.exit) ? Cause.squash(talk.exit.cause) : undefined
  return {
    outcome: talk.exit === undefined ? "waits" : Exit.isSuccess(talk.exit) ? "ready" : "failed",
    reason: isHandshakeError(error) ? error.reason._tag : error === undefined ? undefined : String(error),
    step: isHandshakeError(error) ? error.step : undefined,
    message: isHandshakeError(error) ? error.message : undefined,
    "what it said": Trial.show(concat(talk.written)),
    "what came behind the handshake": talk.rest === undefined ? undefined : Trial.show(talk.rest)
  }
}

const chunking: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { messages } = reference
    const all = concat(messages)
    const tail = encoder.encode("what follows")
    const scripts: Array<{ readonly said: Uint8Array | undefined; readonly what: string }> = [
      { said: undefined, what: "the conversation" },
      { said: concat([all, reference.beyond, tail]), what: "all that the peer says" }
    ]
    for (const { index, said, what } of candidatesOf(trial, reference, options)) {
      const before = concat(messages.slice(0, index))
      scripts.push({ said: concat([before, said, tail]), what: `${what} in the place of ${nth(index)}` })
    }
    const plan = (said: Uint8Array | undefined): Plan => said === undefined ? {} : { script: said }
    const inOnePiece = new Map<number, Record<string, unknown>>()
    const expected = Effect.fnUntraced(function*(index: number) {
      const known = inOnePiece.get(index) ?? fingerprint(yield* trial.talk(plan(scripts[index].said)))
      inOnePiece.set(index, known)
      return known
    })
    const compare = Effect.fnUntraced(function*(
      plan: Plan,
      whole: Record<string, unknown>,
      what: string,
      cutting: Cutting
    ) {
      const { lengths, seed } = cutting
      const pace = pacing(cutting, plan.script?.length ?? reference.needed)
      const talk = yield* trial.talk({ ...plan, lengths, seed, pace })
      coverage.crossed(talk.steps, "split")
      const cutUp = fingerprint(talk)
      const differing = Object.keys(whole).filter((key) => !Equal.equals(whole[key], cutUp[key]))
      if (differing.length === 0) return
      // What differs between two conversations that were alike, such as a nonce or a date, need not be the same in a third.
      const again = fingerprint(yield* trial.talk(plan))
      const different = differing.find((key) => Equal.equals(whole[key], again[key]))
      if (different === undefined) return
      return yield* Effect.fail(problem(attempt, talk, {
        scenario: `${what} comes ${inPieces(cutting)}`,
        expected: `the same as in one piece; ${different}: ${whole[different]}`,
        actual: `${different}: ${cutUp[different]} (${Trial.outcome(talk)})`
      }))
    })
    yield* attempt.property(
      Arbitrary.all({ cutting: cuttings, pick: ints(0, scripts.length - 1) }),
      ({ cutting, pick }) =>
        Effect.flatMap(
          expected(pick),
          (whole) => compare(plan(scripts[pick].said), whole, scripts[pick].what, cutting)
        ),
      0.5
    )
    yield* attempt.property(
      Arbitrary.all({ cutting: cuttings, garbage: bytes(40), after: ints(0, messages.length) }),
      ({ after, cutting, garbage }) => {
        const script = concat([...messages.slice(0, after), garbage])
        return Effect.flatMap(
          trial.talk({ script }),
          (talk) => compare({ script }, fingerprint(talk), Trial.show(script), cutting)
        )
      },
      0.5
    )
  })

/** What is asked behind the handshake, and what is answered, as bytes; nothing where it is not known. */
interface Exchange {
  readonly requests: ReadonlyArray<Uint8Array>
  readonly answers: Uint8Array
}

const exchangeOf = ({ options, reference, trial }: Attempt): Effect.Effect<Exchange> => {
  const { calls } = options
  if (calls === undefined || trial.side.role !== "server" || options.client === undefined) {
    return Effect.succeed({ requests: [], answers: nothing })
  }
  const asks: Behind = (transport) =>
    Effect.forEach(calls.requests, (request) => transport.send(request), { discard: true })
  return Effect.map(
    trial.talk({ behind: calls.serve, peerBehind: asks }),
    (talk) => ({
      requests: talk.messages.slice(reference.talk.messages.length),
      answers: talk.heard.subarray(reference.talk.heard.length)
    })
  )
}

const conservation: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { beyond, messages } = reference
    const last = messages.length - 1
    const following = (rest: Uint8Array): Plan =>
      last === -1
        ? { script: rest }
        : { say: (index, message) => index === reference.talk.messages.length - 1 ? concat([message, rest]) : message }
    // Behind the handshake come frames, which random bytes seldom are.
    const { answers, requests } = yield* exchangeOf(attempt)
    const frames = [nothing, ...messages, ...requests]
    yield* attempt.property(
      Arbitrary.all({
        cutting: cuttings,
        whole: ints(0, 3),
        picked: Arbitrary.array(ints(0, frames.length - 1), { maxLength: 3 }),
        random: bytes(48)
      }),
      ({ cutting, picked, random, whole }) => {
        const rest = concat([...picked.map((index) => frames[index]), random])
        return Effect.flatMap(
          trial.talk({ ...following(rest), seed: cutting.seed, lengths: whole === 0 ? cutting.lengths : undefined }),
          (talk) => {
            const expected = concat([beyond, rest])
            const came = talk.rest
            const at = came === undefined ? 0 : Trial.firstDifference(expected, came)
            if (at === -1) return Effect.void
            return Effect.fail(problem(attempt, talk, {
              scenario: `${Trial.show(rest)} follows the last message of the handshake${
                whole === 0 ? `, all of it ${inPieces({ ...cutting, slow: false })}` : " in the same segment"
              }`,
              expected: `the ${trial.side.role} becomes ready, and receives ${Trial.show(expected)} behind it`,
              actual: came === undefined
                ? Trial.outcome(talk)
                : `it received ${
                  Trial.show(came)
                }, which is different from byte ${at} on (${came.length} of ${expected.length} bytes)`
            }))
          }
        )
      }
    )
    if (requests.length > 0) {
      const asked = concat(requests)
      yield* attempt.property(cuttings, (cutting) => {
        const plan = { ...following(asked), lengths: cutting.lengths, seed: cutting.seed, behind: options.calls!.serve }
        return Effect.flatMap(trial.talk(plan), (talk) => {
          const heard = talk.heard.subarray(Math.max(0, talk.heard.length - answers.length))
          if (Trial.firstDifference(heard, answers) === -1) return Effect.void
          return Effect.fail(problem(attempt, talk, {
            scenario: `${Trial.show(asked)} follows the last message of the handshake, all of it ${
              inPieces({ ...cutting, slow: false })
            }`,
            expected: `each request is answered: the peer hears ${Trial.show(answers)}`,
            actual: `it heard ${Trial.show(talk.heard)}, and the service ${ended(talk.behind)}`
          }))
        })
      })
    }
    // What comes before its time must not be lost, and must not be taken for something that came later.
    const early = messages.slice(0, -1).flatMap((message, index) =>
      [message, encoder.encode("EVIL\n"), Uint8Array.of(0, 0xff, 0x16, 3, 1, 0)].map((said) => ({
        index,
        message,
        said
      }))
    )
    yield* attempt.each(early, ({ index, message, said }) => {
      if (
        options.accepts?.({ side: trial.side.role, index: index + 1, said, due: messages[index + 1], messages }) ===
          true
      ) {
        return Effect.void
      }
      return Effect.flatMap(trial.talk(replaced(index, concat([message, said]))), (talk) => {
        coverage.crossed([talk.step], "early bytes")
        if (!Trial.isReady(talk)) return Effect.void
        return Effect.fail(problem(attempt, talk, {
          scenario: `${Trial.show(said)} comes with ${nth(index)}, before the ${trial.side.role} has answered that`,
          expected: "they are still there for the next step, which refuses them",
          actual: "it became ready, and they were ignored, dropped, or taken for something that came later"
        }))
      })
    })
  })

const truncation: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, reference, trial } = attempt
    const { needed } = reference
    const said = concat(reference.messages)
    if (needed > 0) {
      const stops = stopsOf(reference, needed - 1, 160)
      const cases = (["end", "reset"] as const).flatMap((how) => stops.map((after): Stop => ({ after, how })))
      yield* attempt.each(cases, (stop) =>
        Effect.flatMap(trial.talk({ stop }), (talk) => {
          // Where a message is shorter this time, it was cut behind the last one.
          if (talk.stoppedIn === undefined || talk.isComplete) return Effect.void
          coverage.crossed([talk.stoppedIn], stop.how === "end" ? "cut" : "reset")
          const flaw = Trial.isReady(talk) ? Trial.outcome(talk) : Trial.flawOf(talk)
          const late = talk.endedAt - (talk.stoppedAt ?? 0)
          if (flaw === undefined && late <= trial.rung.lag + (trial.isVirtual ? 0 : 1000)) return Effect.void
          return Effect.fail(problem(attempt, talk, {
            scenario: `the connection ${
              stop.how === "end" ? "ends" : "is reset"
            } after byte ${stop.after} of ${needed}: ${Trial.showUpTo(said, stop.after)}`,
            expected: "it fails at once with a typed error that names the step",
            actual: flaw ?? `${Trial.outcome(talk)}, but only ${late} ms after the end`
          }))
        }))
    }
    if (trial.side.role === "client") {
      const talk = yield* trial.talk({ dial: "refuse" })
      coverage.crossed([talk.step], "cut")
      const flaw = Trial.isReady(talk) ? Trial.outcome(talk) : Trial.flawOf(talk)
      if (flaw !== undefined) {
        return yield* Effect.fail(problem(attempt, talk, {
          scenario: "the connection is refused when it dials",
          expected: "it fails with a typed error",
          actual: flaw
        }))
      }
    }
    const { restEnd } = reference.talk
    const error = restEnd === undefined ? undefined : Cause.squash(restEnd)
    if (isTransportError(error) && error.reason._tag === "ConnectionClosed") return
    return yield* Effect.fail(problem(attempt, reference.talk, {
      scenario: "the connection ends right behind the handshake",
      expected: "that is a clean end: ConnectionClosed",
      actual: `it ended with ${Excerpt.ofText(String(error))}`
    }))
  })

const defaultMaxBytes = 2 * Codec.defaultMaxLength

const oversize: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { messages } = reference
    const maxBytes = options.maxBytes ?? defaultMaxBytes
    const flood = 2 * maxBytes
    const repeat = (unit: Uint8Array): Uint8Array => {
      const said = new Uint8Array(flood)
      for (let i = 0; i < flood; i++) said[i] = unit[i % unit.length]
      return said
    }
    const chunk = Math.max(1, Math.min(4096, Math.floor(maxBytes / 4)))
    // A million, as a length field of four bytes.
    const lengths = [
      { name: "big-endian", field: Uint8Array.of(0, 0x0f, 0x42, 0x40) },
      { name: "little-endian", field: Uint8Array.of(0x40, 0x42, 0x0f, 0) }
    ]
    const fillers: ReadonlyArray<readonly [name: string, unit: Uint8Array]> = [
      ["the letter x", encoder.encode("x")],
      ["the byte 0", Uint8Array.of(0)],
      ["the byte 255", Uint8Array.of(255)]
    ]
    const cases = messages.flatMap((message, index) => [
      ...fillers.flatMap(([name, unit]) => [
        { index, said: repeat(unit), what: `${name}, without end, comes in the place of ${nth(index)}` },
        {
          index,
          said: concat([message.subarray(0, Math.ceil(message.length / 2)), repeat(unit)]),
          what: `${nth(index)} goes on in its middle with ${name}, without end`
        }
      ]),
      { index, said: repeat(message), what: `${nth(index)} is said over and over, without end` },
      ...lengths.flatMap(({ field, name }) =>
        [0, 1].map((kept) => ({
          index,
          said: concat([message.subarray(0, kept), field, repeat(encoder.encode("x"))]),
          what: `a length of a million, ${name}, behind ${kept} bytes, and that much comes in the place of ${
            nth(index)
          }`
        }))
      )
    ])
    yield* attempt.each(cases, ({ index, said, what }) =>
      Effect.flatMap(trial.talk({ ...replaced(index, said), lengths: [chunk], hushes: true }), (talk) => {
        coverage.crossed([talk.step], "oversize")
        const before = reference.borders[index]
        const flaw = Trial.flawOf(talk)
        if (flaw === undefined && talk.asked <= before + maxBytes) return Effect.void
        return Effect.fail(problem(attempt, talk, {
          scenario: what,
          expected: `it is done, or fails with a typed error, before it has taken more than ${maxBytes} bytes of it`,
          actual: flaw ?? `it had taken ${talk.asked - before} bytes and asked for more: ${Trial.outcome(talk)}`
        }))
      }))
  })

const wrongTurn: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { messages } = reference
    const refused = (talk: Talk, scenario: string, mayBeReady: boolean) => {
      const flaw = Trial.isReady(talk) ? (mayBeReady ? undefined : Trial.outcome(talk)) : Trial.flawOf(talk)
      if (flaw === undefined) return Effect.void
      return Effect.fail(problem(attempt, talk, {
        scenario,
        expected: mayBeReady
          ? "it becomes ready or fails with a typed error that names the step"
          : "it fails with a typed error that names the step; or `accepts` says that this may come there",
        actual: flaw
      }))
    }
    yield* attempt.each(candidatesOf(trial, reference, options), ({ index, said, what }) =>
      Effect.flatMap(trial.talk(replaced(index, said)), (talk) => {
        coverage.crossed([talk.step], "wrong turn")
        return refused(
          talk,
          `${what}, ${Trial.show(said)}, comes in the place of ${nth(index)}, ${Trial.show(messages[index])}`,
          false
        )
      }))
    yield* attempt.each(messages.slice(0, -1).map((message, index) => ({ index, message })), ({ index, message }) => {
      const due = messages[index + 1]
      const turn = { side: trial.side.role, index: index + 1, said: message, due, messages }
      if (Trial.firstDifference(message, due) === -1 || options.accepts?.(turn) === true) {
        return Effect.void
      }
      return Effect.flatMap(trial.talk(replaced(index, concat([message, message]))), (talk) => {
        coverage.crossed([talk.step], "wrong turn")
        return refused(talk, `${nth(index)} comes twice, and then the conversation goes on`, false)
      })
    })
    // Without regard to what is answered: messages are left out, said twice, or change places.
    const orders: Array<{ readonly index: number; readonly script: ReadonlyArray<Uint8Array>; readonly what: string }> =
      []
    messages.forEach((message, index) => {
      orders.push({ index, script: messages.toSpliced(index, 1), what: `${nth(index)} is left out` })
      if (index === messages.length - 1) {
        return
      }
      orders.push({
        index: index + 1,
        script: messages.toSpliced(index, 0, message),
        what: `${nth(index)} comes twice`
      })
      orders.push({
        index,
        script: messages.toSpliced(index, 2, messages[index + 1], message),
        what: `${nth(index)} and ${nth(index + 1)} change places`
      })
    })
    const inOrder = concat(messages)
    yield* attempt.each(orders, ({ index, script, what }) => {
      const said = concat(script)
      const instead = script[index] ?? nothing
      // What looks the same is the same.
      const same = Trial.firstDifference(said.subarray(0, inOrder.length), inOrder) === -1
      const accepted =
        options.accepts?.({ side: trial.side.role, index, said: instead, due: messages[index], messages }) === true
      return same || accepted
        ? Effect.void
        : Effect.flatMap(trial.talk({ script: said }), (talk) => {
          coverage.crossed([talk.step], "wrong turn")
          return refused(talk, `${what}: ${Trial.show(said)}`, false)
        })
    })
    if (messages.length === 0) {
      return
    }
    yield* attempt.property(
      Arbitrary.all({ index: ints(0, messages.length - 1), garbage: bytes(40), keep: ints(0, 3) }),
      ({ garbage, index, keep }) => {
        const message = messages[index]
        const said = keep === 0
          ? garbage
          : concat([message.subarray(0, Math.floor((message.length * keep) / 4)), garbage])
        return Effect.flatMap(trial.talk(replaced(index, said)), (talk) => {
          coverage.crossed([talk.step], "garbage")
          return refused(talk, `${Trial.show(said)} comes in the place of ${nth(index)}`, true)
        })
      }
    )
  })

const defaultDeadline = Duration.seconds(10)

/** On real sockets nobody waits for ten seconds. */
const realDeadline = Duration.seconds(1)

const deadlineOf = ({ deadline }: AnyOptions, rung: Rung.Rung): Duration.Duration =>
  deadline !== undefined
    ? Duration.fromInputUnsafe(deadline)
    : rung.time === "virtual"
    ? defaultDeadline
    : realDeadline

/** A handshake that promises no deadline of its own is bounded as `Server` and `Client` do it, or by a `Server`. */
const bounded = (
  { handshake, role }: Side,
  { isFast }: Rung.Rung,
  options: AnyOptions,
  deadline: Duration.Duration
): Side => {
  if (options.deadline !== undefined) return { role, handshake }
  return isFast === true && role === "server"
    ? { role, handshake, deadline }
    : { role, handshake: Handshake.deadline(handshake, deadline) }
}

const silence: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference } = attempt
    const { peer, rung, side } = attempt.trial
    const given = { role: side.role, handshake: attempt.handshake }
    const trial = Trial.make(rung, bounded(given, rung, options, deadlineOf(options, rung)), peer, options)
    const { needed } = reference
    const deadline = Duration.toMillis(deadlineOf(options, trial.rung))
    // That is too long to wait for on real sockets; the other rungs have all the time there is.
    if (!trial.isVirtual && deadline > 2000) return
    const tolerance = trial.isVirtual ? trial.rung.lag : 800
    const atDeadline = (talk: Talk, scenario: string) => {
      const flaw = Trial.isReady(talk) ? Trial.outcome(talk) : Trial.flawOf(talk)
      const late = talk.endedAt - deadline
      if (flaw === undefined && late <= tolerance) return Effect.void
      return Effect.fail(problem(attempt, talk, {
        scenario,
        expected: `it fails with a typed error at its deadline, after ${deadline} ms`,
        actual: flaw ?? `${Trial.outcome(talk)}, after ${talk.endedAt} ms`
      }))
    }
    if (needed > 0) {
      yield* attempt.each(stopsOf(reference, needed - 1, 40), (after) =>
        Effect.flatMap(trial.talk({ stop: { after, how: "stall" } }), (talk) => {
          if (talk.stoppedIn === undefined || talk.isComplete) {
            return Effect.void
          }
          coverage.crossed([talk.stoppedIn], "silence")
          return atDeadline(
            talk,
            `the peer falls silent after byte ${after} of ${needed}: ${
              Trial.showUpTo(concat(reference.messages), after)
            }`
          )
        }), 3)
    }
    // Nothing of the rung is in it, so that nobody has to wait for it on real sockets.
    if (trial.side.role === "client" && trial.isVirtual) {
      const talk = yield* trial.talk({ dial: "hang" })
      coverage.crossed([talk.step], "silence")
      yield* atDeadline(talk, "nobody answers when it dials")
    }
    const dribbled = reference.messages.flatMap((message, index) =>
      message.length > 5 ? [{ index, from: reference.borders[index] }] : []
    )
    yield* attempt.each(dribbled, ({ from, index }) => {
      const pace = { millis: deadline / 4, from }
      return Effect.flatMap(trial.talk({ lengths: [1], pace }), (talk) => {
        coverage.crossed([talk.step], "dribble")
        return atDeadline(talk, `the peer says ${nth(index)} one byte at a time, every ${pace.millis} ms`)
      })
    }, 2)
    if (reference.messages.length > 1) {
      const pause = deadline * 0.6
      const talk = yield* trial.talk({ pause })
      yield* atDeadline(talk, `the peer takes ${pause} ms for each message, so that the second one comes too late`)
    }
    const later = { after: trial.isVirtual ? 86_400_000 : deadline, say: encoder.encode("still here") }
    // A handshake that takes some time of its own has to have that.
    const own = reference.talk.endedAt + 2 * trial.rung.lag
    const delay = trial.isVirtual ? Math.max(0, deadline - own) : deadline / 4
    const talk = yield* trial.talk({ delay, later })
    // The peer may have had something to say in the meantime.
    const last = talk.rest?.subarray(-later.say.length)
    if (last !== undefined && Trial.firstDifference(last, later.say) === -1) {
      return
    }
    return yield* Effect.fail(problem(attempt, talk, {
      scenario: `the peer says its first word after ${delay} ms, just inside the deadline of ${deadline} ms, and ${
        Trial.show(later.say)
      } when ${later.after} ms have passed behind the handshake`,
      expected: "the deadline does nothing once the handshake is done",
      actual: talk.rest === undefined
        ? Trial.outcome(talk)
        : `the connection was closed after ${talk.overAt} ms, and ${Trial.show(talk.rest)} was received`
    }))
  })

const interruption: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { needed } = reference
    // Where several trials go on at once, they hold something at any time.
    const held = options.held === undefined || !trial.isVirtual ? Effect.succeed(0) : options.held
    const released = (talk: Talk, scenario: string) => {
      const { opened, released } = talk
      const expected = "its connection is opened once, released once, and its peer sees the end"
      const actual = !talk.isOver
        ? "it has not ended"
        : opened !== released || opened > 1
        ? `its connection was opened ${opened} times and released ${released} times`
        : talk.isEndHeard
        ? undefined
        : "its peer saw no end"
      return actual === undefined ? Effect.void : Effect.fail(problem(attempt, talk, { scenario, expected, actual }))
    }
    const before = yield* held
    yield* attempt.each(stopsOf(reference, needed, 64), (after) =>
      Effect.flatMap(trial.talk({ stop: { after, how: "interrupt" } }), (talk) => {
        if (talk.stoppedIn === undefined) {
          return Effect.void
        }
        coverage.crossed([talk.stoppedIn], "interruption")
        const scenario = `it is interrupted when ${after} of ${needed} bytes have come: ${
          Trial.showUpTo(concat(reference.messages), after)
        }`
        const late = talk.overAt - (talk.stoppedAt ?? 0)
        return late > 2000 + trial.rung.lag
          ? Effect.fail(problem(attempt, talk, {
            scenario,
            expected: "it ends at once, but for the second in which it may flush what it has said",
            actual: `it has ended after ${late} ms`
          }))
          : released(talk, scenario)
      }))
    yield* released(reference.talk, "it becomes ready, and its scope is closed")
    if (trial.side.role === "client") {
      const talk = yield* trial.talk({ dial: "interrupt" })
      coverage.crossed([talk.step], "interruption")
      if (!talk.isOver || talk.opened !== talk.released) {
        yield* released(talk, "it is interrupted while it dials")
      }
    }
    yield* attempt.each(stopsOf(reference, Math.max(0, needed - 1), 12), (after) =>
      Effect.flatMap(trial.talk({ stop: { after, how: "end" } }), (talk) =>
        released(talk, `the connection ends when ${after} of ${needed} bytes have come`)))
    const afterwards = yield* held
    if (afterwards === before) {
      return
    }
    return yield* Effect.fail(problem(attempt, reference.talk, {
      scenario: "it was interrupted, cut off and finished at every place",
      expected: `it holds as much as before: ${before}`,
      actual: `it holds ${afterwards}`
    }))
  })

/** How many bytes a decoder may look at for each that has come. */
const costPerByte = 16

const linearCost: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, reference, trial } = attempt
    const { messages } = reference
    const affordable = (talk: Talk, scenario: string) => {
      const allowed = costPerByte * talk.pulled + 256
      return talk.examined <= allowed ? Effect.void : Effect.fail(problem(attempt, talk, {
        scenario,
        expected:
          `its decoders look at a constant number of bytes for each that came, at ${allowed} for these ${talk.pulled}`,
        actual: `they looked at ${talk.examined} bytes`
      }))
    }
    yield* Effect.flatMap(
      trial.talk({ lengths: [1], counts: true }),
      (talk) => affordable(talk, "the conversation comes byte by byte")
    )
    const length = trial.isVirtual ? 1500 : 300
    const cases = messages.flatMap((message, index) =>
      [message[0], 0x78, 0, 0xff].flatMap((filler) =>
        [0, Math.ceil(message.length / 2)].map((kept) => ({
          index,
          said: concat([message.subarray(0, kept), new Uint8Array(length).fill(filler)]),
          what: `${
            kept === 0 ? `${nth(index)} is` : `${nth(index)} goes on in its middle with`
          } the byte ${filler}, ${length} times`
        }))
      )
    )
    yield* attempt.each(cases, ({ index, said, what }) =>
      Effect.flatMap(trial.talk({ ...replaced(index, said), lengths: [1], counts: true }), (talk) => {
        coverage.crossed([talk.step], "long frame")
        return affordable(talk, `${what}, byte by byte`)
      }))
  })

const secrets: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, reference, trial } = attempt
    const { borders, messages, needed } = reference
    const known = (options.secrets ?? []).map((secret) =>
      bytesOf(Redacted.isRedacted(secret) ? Redacted.value(secret) : secret)
    )
    const decoy = (secret: Uint8Array) => Uint8Array.from(secret, (_, i) => "qjzkxwv7".charCodeAt(i % 8))
    const hidden = Watch.hiding([...known, ...known.map(decoy)])
    const holdsSecret = (said: Uint8Array) => known.some((secret) => Watch.indexOf(said, secret) !== -1)
    const plans: Array<readonly [what: string, plan: Plan]> = [["nobody disturbs the conversation", {}]]
    messages.forEach((message, index) => {
      for (const secret of known) {
        const at = Watch.indexOf(message, secret)
        if (at === -1) continue
        const change = (what: string, said: Uint8Array) =>
          plans.push([`${what} in ${nth(index)}`, replaced(index, said)])
        const [head, tail] = [message.subarray(0, at), message.subarray(at + secret.length)]
        change("another secret comes", concat([head, decoy(secret), tail]))
        change("the secret comes with a byte that is no text", concat([head, secret, Uint8Array.of(0xff), tail]))
        change("the secret comes twice", concat([head, secret, secret, tail]))
        change("the secret goes on without end", concat([head, ...Array.from({ length: 64 }, () => secret)]))
        change(
          "the secret comes a thousand times",
          concat([head, ...Array.from({ length: 20_000 }, () => secret), tail])
        )
        change("the secret stands alone", secret)
      }
      if (!holdsSecret(message)) plans.push([`${nth(index)} comes twice`, replaced(index, concat([message, message]))])
    })
    for (const { index, said, what } of candidatesOf(trial, reference, options)) {
      // Nobody can know that what comes in the place of a greeting is a secret.
      if (holdsSecret(said) && !holdsSecret(messages[index])) continue
      plans.push([`${what} comes in the place of ${nth(index)}`, replaced(index, said)])
    }
    for (const after of stopsOf(reference, Math.max(0, needed - 1), 100)) {
      plans.push([`the connection ends after byte ${after} of ${needed}`, { stop: { after, how: "end" } }])
    }
    for (const after of borders) {
      // On real sockets that would have to be waited for.
      if (trial.isVirtual) plans.push([`the peer falls silent after byte ${after}`, { stop: { after, how: "stall" } }])
      plans.push([`it is interrupted after byte ${after}`, { stop: { after, how: "interrupt" } }])
    }
    yield* attempt.each(plans, ([what, plan]) =>
      Effect.flatMap(Watch.watched(trial.talk(plan)), ([talk, seen]) => {
        const leak = hidden([...Watch.ofTalk(talk), ...seen])
        return leak === undefined ? Effect.void : Effect.fail({
          scenario: what,
          expected: "no secret shows",
          // The proof of a leak must not be another one.
          actual: `${leak.length} characters of a secret of ${leak.of} show in ${leak.where}, at step ${
            Excerpt.ofText(talk.step)
          }: ${leak.context}`
        })
      }))
  })

/** What one side has learned in the handshake. */
const negotiatedBy = (options: AnyOptions, role: Role, transport: Any): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => {
    const value: unknown = options.negotiated?.[role](transport)
    // An Effect that is given here needs nothing, which `unknown` cannot say.
    return Effect.isEffect(value) ? value as Effect.Effect<unknown, unknown> : Effect.succeed(value)
  })

const isolation: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, reference, trial } = attempt
    const { beyond, messages, needed } = reference
    const marked = (mark: string, more: Plan): Plan => {
      const rest = encoder.encode(mark)
      return messages.length === 0
        ? { ...more, script: rest }
        : { ...more, say: (i, message) => i === reference.talk.messages.length - 1 ? concat([message, rest]) : message }
    }
    // A byte at a time, and the second conversation wherever the first one is when it begins.
    const piece = Math.max(1, Math.ceil(needed / 200))
    const pace = trial.isVirtual ? { millis: 1 } : undefined
    yield* attempt.each(stopsOf(reference, needed, 24), (delay) =>
      Effect.flatMap(
        trial.talks([
          marked("first", { lengths: [piece], pace }),
          marked("second", { lengths: [piece], pace, delay: Math.floor(delay / piece), seed: 1, random: 1 })
        ]),
        (talks) =>
          attempt.each(talks.map((talk, i) => [talk, ["first", "second"][i]] as const), ([talk, mark]) => {
            const expected = concat([beyond, encoder.encode(mark)])
            return talk.rest !== undefined && Trial.firstDifference(talk.rest, expected) === -1
              ? Effect.void
              : Effect.fail(problem(attempt, talk, {
                scenario: `two conversations go on at once, in turns; the second begins when ${delay} bytes ` +
                  "of the first have come",
                expected: `the ${mark} one becomes ready and receives ${Trial.show(expected)} behind it`,
                actual: talk.rest === undefined ? Trial.outcome(talk) : `it received ${Trial.show(talk.rest)}`
              }))
          })
      ))
    // One that is refused after the other is ready: it starts when that is done, while it is still open.
    yield* attempt.each(candidatesOf(trial, reference, options), ({ index, said, what }) => {
      const bad: Plan = replaced(index, said)
      return Effect.gen(function*() {
        const [, second] = yield* trial.talks([
          { later: { after: trial.isVirtual ? 1000 : 50, say: nothing } },
          { ...bad, delay: trial.isVirtual ? 500 : 20 }
        ])
        if (!Trial.isReady(second)) return
        const alone = yield* trial.talk(bad)
        return yield* Effect.fail(problem(attempt, second, {
          scenario: `while another conversation is ready, ${what} comes in the place of ${nth(index)}`,
          expected: "it fails: what the other one has proved is not its own",
          actual: Trial.isReady(alone)
            ? "it became ready, as it does alone: either anybody gets in with that (law 5), or it remembers who came before"
            : "it became ready: it has used what the other connection had learned"
        }))
      })
    })
    // Each pair agrees on its own.
    if (options.negotiated !== undefined && options[otherRole(trial.side.role)] !== undefined) {
      const { role } = trial.side
      const learns = (role: Role): Behind => (transport) => negotiatedBy(options, role, transport)
      const pairs = yield* trial.talks([0, 1].map((random): Plan => ({
        lengths: [piece],
        pace,
        delay: random,
        random,
        // Both sides look at what they have only when all are ready.
        behind: (transport) => Effect.andThen(Effect.sleep(trial.isVirtual ? 5000 : 200), learns(role)(transport)),
        peerBehind: (transport) =>
          Effect.andThen(Effect.sleep(trial.isVirtual ? 4000 : 100), learns(otherRole(role))(transport))
      })))
      yield* attempt.each(pairs, (talk) => {
        const { behind, peerBehind } = talk
        const [own, others] = [behind, peerBehind].map((exit) =>
          exit !== undefined && Exit.isSuccess(exit) ? exit.value : exit
        )
        return Equal.equals(own, others) ? Effect.void : Effect.fail(problem(attempt, talk, {
          scenario: "two clients come at once, and when both are ready each side looks at what was negotiated",
          expected: "each client has what the server has for it",
          actual: `the ${role} has ${Excerpt.ofFrame(own)}, its peer has ${Excerpt.ofFrame(others)}`
        }))
      })
    }
    // A conversation that breaks off in a message leaves nothing behind for the next one.
    if (needed > 1) {
      yield* attempt.each(stopsOf(reference, needed - 1, 24), (after) =>
        Effect.gen(function*() {
          yield* trial.talk({ stop: { after, how: "end" } })
          const next = yield* trial.talk({})
          if (Trial.isReady(next)) return
          return yield* Effect.fail(problem(attempt, next, {
            scenario: `the conversation before has ended after byte ${after} of ${needed}`,
            expected: "the next one becomes ready",
            actual: Trial.outcome(next)
          }))
        }))
    }
    if (options.fresh?.[trial.side.role] !== true || messages.length === 0) return
    // More than one: what is made in turns, or for a moment, is fresh for one other connection only.
    const recorded = concat((yield* trial.talk({})).messages)
    for (let again = 1; again <= 3; again++) {
      const replayed = yield* trial.talk({ script: recorded, random: again })
      if (!Trial.isReady(replayed)) continue
      return yield* Effect.fail(problem(attempt, replayed, {
        scenario: "all that was said on one connection is said again on another",
        expected: "it fails: what was fresh for the one is not for the other",
        actual: "it became ready"
      }))
    }
  })

/** Who is silent, or gone, has said nothing wrong. */
const deservesRefusal = ({ exit }: Talk): boolean => {
  if (exit === undefined || Exit.isSuccess(exit)) return false
  const error = Cause.squash(exit.cause)
  return !isHandshakeError(error) || !["Timeout", "UnexpectedEnd", "ConnectionFailed"].includes(error.reason._tag)
}

const refusalIsHeard: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, reference, trial } = attempt
    const { messages } = reference
    const refusals = [options.refusal?.[trial.side.role] ?? []].flat().map(bytesOf)
    // More than a system takes in without being asked.
    const more = new Uint8Array(trial.isVirtual ? 40_000 : 2_000_000).fill(0x7a)
    const garbage = Uint8Array.of(0xff, 0xfe, 0x0a, 0xff, 0x0a)
    const cases = [
      ...candidatesOf(trial, reference, options),
      ...messages.map((_, index): Candidate => ({ index, said: garbage, what: Trial.show(garbage) }))
    ]
    const hears = (talk: Talk, from: number, scenario: string) => {
      const spoken = talk.written.slice(from)
      const said = concat(talk.written)
      if (!Trial.isReady(talk) && spoken.length > 0 && Trial.firstDifference(said, talk.heard) !== -1) {
        return Effect.fail(problem(attempt, talk, {
          scenario,
          expected: `the peer hears all that was said, ${
            Trial.show(concat(spoken))
          } at the end, before the connection closes`,
          actual: `it heard ${Trial.show(talk.heard)}, ${talk.heard.length} of ${said.length} bytes`
        }))
      }
      return Effect.void
    }
    const isSaid = (talk: Talk, scenario: string) => {
      if (refusals.length === 0 || !deservesRefusal(talk)) return Effect.void
      const isLast = (words: Uint8Array) =>
        Trial.firstDifference(talk.heard.subarray(Math.max(0, talk.heard.length - words.length)), words) === -1
      return refusals.some(isLast) ? Effect.void : Effect.fail(problem(attempt, talk, {
        scenario,
        expected: `the peer hears ${refusals.map(Trial.show).join(" or ")}`,
        actual: `it heard ${Trial.show(talk.heard)}, and ${Trial.outcome(talk)}`
      }))
    }
    const late = trial.isVirtual ? 300 : 30
    yield* attempt.each(cases, ({ index, said, what }) =>
      Effect.gen(function*() {
        const place = `${what} comes in the place of ${nth(index)}`
        const listens: ReadonlyArray<readonly [said: Uint8Array, deaf: number | undefined, scenario: string]> = [
          [said, undefined, place],
          [said, late, `${place}, and the peer listens only after ${late} ms`],
          [concat([said, more]), undefined, `${place}, with ${more.length} bytes behind it that nobody reads`],
          [
            concat([said, more]),
            late,
            `${place}, with ${more.length} bytes behind it that nobody reads, and the peer listens only after ${late} ms`
          ]
        ]
        for (const [said, deaf, scenario] of listens) {
          const talk = yield* trial.talk({ ...replaced(index, said), deaf })
          // What is let in is refused nowhere, whatever comes behind it.
          if (Trial.isReady(talk)) return
          yield* hears(talk, talk.writesBefore[index] ?? talk.written.length, scenario)
          yield* isSaid(talk, scenario)
        }
      }))
    if (trial.side.role !== "server" || options.client === undefined) return
    const turnedAway = Trial.make(
      trial.rung,
      { role: "server", handshake: Handshake.turnAway(trial.side.handshake, "capacity") },
      options.client,
      options
    )
    const scenario = "the server is at capacity and turns a client away, which talks on"
    const talksOn = (index: number, message: Uint8Array) => index === 0 ? concat([message, more]) : message
    yield* attempt.each([undefined, trial.isVirtual ? 300 : 30], (deaf) =>
      Effect.flatMap(turnedAway.talk({ deaf, say: talksOn }), (talk) =>
        Effect.andThen(
          hears(talk, 0, scenario),
          talk.peerExit !== undefined && Exit.isSuccess(talk.peerExit) && options.lateRefusal !== true
            ? Effect.fail(problem(attempt, talk, {
              scenario,
              expected: "the client's handshake fails",
              actual: "the client became ready"
            }))
            : Effect.void
        )))
  })

const agreement: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, trial } = attempt
    const { role } = trial.side
    const words = { client: encoder.encode("from the client"), server: encoder.encode("from the server") }

    // Says its words and waits for the other's; what was negotiated comes along.
    const greets = (role: Role): Behind => (transport) =>
      Effect.gen(function*() {
        const value = yield* negotiatedBy(options, role, transport)
        const raw = yield* Transport.switchCodec(transport, Codec.bytes)
        yield* raw.send(words[role])
        const due = words[otherRole(role)]
        let heard: Uint8Array = nothing
        while (Trial.firstDifference(heard.subarray(Math.max(0, heard.length - due.length)), due) !== -1) {
          heard = concat([heard, yield* raw.receive])
        }
        return value
      })
    const scripted = options[otherRole(role)] === undefined
    yield* attempt.property(cuttings, (cutting) =>
      Effect.flatMap(
        trial.talk({
          lengths: cutting.lengths,
          seed: cutting.seed,
          random: cutting.seed,
          ...(scripted ? undefined : { behind: greets(role), peerBehind: greets(otherRole(role)) })
        }),
        (talk) => {
          const fails = (expected: string, actual: string) =>
            Effect.fail(problem(attempt, talk, {
              scenario: `${scripted ? "it speaks with its script" : "client and server speak with each other"}, ${
                inPieces({ ...cutting, slow: false })
              }`,
              expected,
              actual
            }))
          if (!Trial.isReady(talk) || talk.peerExit === undefined || Exit.isFailure(talk.peerExit)) {
            return fails(
              "both end well",
              `the ${role} ${Trial.ended(talk.exit)}, and its peer ${Trial.ended(talk.peerExit)}`
            )
          }
          if (scripted) return Effect.void
          const { behind, peerBehind } = talk
          if (
            behind === undefined || peerBehind === undefined || Exit.isFailure(behind) || Exit.isFailure(peerBehind)
          ) {
            return fails(
              "behind the handshake each hears what the other says",
              `the ${role}'s side ${ended(behind)}, and its peer's ${ended(peerBehind)}`
            )
          }
          return Equal.equals(behind.value, peerBehind.value)
            ? Effect.void
            : fails(
              "they agree on what was negotiated",
              `the ${role} has ${Excerpt.ofFrame(behind.value)}, its peer has ${Excerpt.ofFrame(peerBehind.value)}`
            )
        }
      ))
    const { calls } = options
    if (calls === undefined || scripted) return
    const asks: Behind = (transport) =>
      Effect.flatMap(
        Pipeline.client(transport as Transport.Transport<unknown, unknown>),
        (client) => Effect.forEach(calls.requests, (request) => client.call(request), { concurrency: "unbounded" })
      )
    const talk = yield* trial.talk(
      role === "client" ? { behind: asks, peerBehind: calls.serve } : { behind: calls.serve, peerBehind: asks }
    )
    const expected = calls.requests.map((request) => calls.respond(request))
    const asked = role === "client" ? talk.behind : talk.peerBehind
    const answers = asked !== undefined && Exit.isSuccess(asked) ? asked.value : undefined
    if (Equal.equals(answers, expected)) return
    return yield* Effect.fail(problem(attempt, talk, {
      scenario: `the client makes ${calls.requests.length} calls at once: ${Excerpt.ofFrame(calls.requests)}`,
      expected: `each gets the answer to its own request: ${Excerpt.ofFrame(expected)}`,
      actual: answers === undefined ? `the calls ${ended(asked)}` : Excerpt.ofFrame(answers)
    }))
  })

const ended = (exit: Exit.Exit<unknown, unknown> | undefined): string =>
  exit === undefined
    ? "waits for ever"
    : Exit.isSuccess(exit)
    ? "ended well"
    : `failed: ${Excerpt.ofText(String(Cause.squash(exit.cause)))}`

const laws: ReadonlyArray<readonly [law: Suite.LawNumber, claim: string, check: Check]> = [
  [1, "however the bytes are cut or joined, the outcome is the same", chunking],
  [2, "what follows the handshake arrives intact, and what comes too early is not lost", conservation],
  [3, "cut off after any byte it fails at once, and right behind the handshake it ends in order", truncation],
  [4, "a message without end is refused within the limit", oversize],
  [5, "what is not due now is refused with an error that names the step", wrongTurn],
  [6, "the deadline strikes whoever is silent or dribbles, and nobody who is ready", silence],
  [7, "interrupted anywhere it releases its connection, once", interruption],
  [8, "decoding costs a constant per byte, however small the pieces", linearCost],
  [9, "no secret shows in an error, a log, a span, a metric or a transcript", secrets],
  [10, "what one connection has learned is never seen by another", isolation],
  [11, "the words of a refusal are heard before the connection closes", refusalIsHeard],
  [12, "client and server agree", agreement]
]

const keyOf = (law: Suite.LawNumber, { rung, side }: Trial.Trial): string => `${law}/${rung.name}/${side.role}/`

/** The laws of a handshake, for each side that is given, on each rung. */
export const handshake = <S extends Any = Any, C extends Any = Any>(options: Options<S, C>): HandshakeSuite => {
  const rungs = options.rungs ??
    (options.breathe === undefined ? [Rung.pure, Rung.memory, Rung.simulated()] : [Rung.memory, Rung.simulated()])
  const coverage = new Coverage.Tally()
  const sides: Array<{ readonly side: Side; readonly peer: Peer }> = []
  for (const role of ["server", "client"] as const) {
    const handshake = options[role]
    const peer = options[otherRole(role)] ?? options.peer
    if (handshake === undefined || peer === undefined) continue
    // The laws take their time, and the script has to wait for them.
    sides.push({
      side: { role, handshake },
      peer: Effect.isEffect(peer) ? peer : ScriptedPeer.run(peer, { timeout: "7 days" })
    })
  }
  if (sides.length === 0) {
    throw new TypeError("Laws.handshake: give a server and a client, or one of them and a peer that plays the other")
  }
  const trials = rungs.flatMap((rung) =>
    sides.map(({ peer, side }) => Trial.make(rung, bounded(side, rung, options, defaultDeadline), peer, options))
  )
  // Real sockets let everybody wait, so they wait at the same time.
  const inTurns = <E>(check: (trial: Trial.Trial) => Effect.Effect<void, E>) => {
    const [virtual, real] = [trials.filter(({ isVirtual }) => isVirtual), trials.filter(({ isVirtual }) => !isVirtual)]
    return Effect.andThen(
      Effect.forEach(virtual, check, { discard: true }),
      Effect.forEach(real, check, { discard: true, concurrency: "unbounded" })
    )
  }
  const checked = (law: Suite.LawNumber, check: Check): Effect.Effect<void, Suite.LawViolation> =>
    inTurns((trial) =>
      Effect.gen(function*() {
        const { rung, side } = trial
        const key = keyOf(law, trial)
        // A case that is played again is one of one law, on one rung, for one side.
        if (options.replay !== undefined && !options.replay.startsWith(key)) return
        let properties = 0
        const where = `${side.role}, ${rung.name}`
        const report = (problem: Suite.Problem, replay?: string) =>
          Suite.violation({
            law,
            suite: options.name,
            where,
            scenario: problem.scenario,
            expected: problem.expected,
            actual: problem.actual,
            ...(replay !== undefined && { replay: key + replay }),
            ...(problem.diagram !== undefined && { diagram: problem.diagram })
          })
        const reference = yield* Effect.mapError(trial.reference, (problem) => report(problem))
        const share = Math.ceil((options.runs ?? 200) / trials.length)
        const runs = trial.isVirtual ? share : Math.min(share, realRuns)
        yield* check({
          trial,
          handshake: options[side.role]!,
          reference,
          options,
          coverage: coverage.of(side.role, reference.talk.steps),
          property: (cases, holds, share = 1) => {
            const own = `${++properties}/`
            const replay = options.replay?.slice(key.length)
            // It belongs to another property of the law.
            if (replay !== undefined && !replay.startsWith(own)) return Effect.void
            return Suite.property(cases, holds, (problem, token) => report(problem, own + token), {
              runs: Math.ceil(runs * share),
              seed: options.seed,
              replay: replay?.slice(own.length)
            })
          },
          each: (cases, check, most = runs) =>
            trial.isVirtual
              ? Effect.forEach(cases, check, { discard: true })
              : Effect.forEach(spread(cases, most), check, { discard: true, concurrency: 4 })
        }).pipe(
          Effect.mapError((error) => error instanceof Suite.LawViolation ? error : report(error)),
          // What the handshake logs is not what the laws have to say.
          Effect.provideService(References.CurrentLoggers, new Set())
        )
      })
    )
  if (
    options.replay !== undefined &&
    !laws.some(([law]) => trials.some((trial) => options.replay!.startsWith(keyOf(law, trial))))
  ) {
    throw new TypeError(`Laws.handshake: ${options.replay} is no token of one of these laws`)
  }
  const skipped = (law: Suite.LawNumber): string | undefined =>
    options.replay !== undefined && !options.replay.startsWith(`${law}/`)
      ? "another law is tried again"
      : law === 9 && (options.secrets ?? []).length === 0
      ? "no secrets are given"
      : undefined
  const suite: HandshakeSuite = {
    name: options.name,
    laws: laws.map(([law, claim, check]) => ({
      law,
      title: `law ${law}, ${Suite.names[law]}: ${claim}`,
      check: checked(law, check),
      skip: skipped(law)
    })),
    coverage: Effect.sync(() => coverage.report())
  }
  if (options.it !== undefined) Suite.register(suite, options.it)
  return suite
}

/** Real sockets make their waiting felt, so that few cases are tried on them. */
const realRuns = 8

/** At most `most` of some values, evenly spread. */
const spread = <A>(values: ReadonlyArray<A>, most: number): ReadonlyArray<A> =>
  values.length <= most
    ? values
    : Array.from({ length: most }, (_, i) => values[Math.floor((i * (values.length - 1)) / Math.max(1, most - 1))])
