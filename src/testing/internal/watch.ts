/**
 * Collects everything that somebody could see of a handshake, and looks for secrets in it.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import * as Excerpt from "../../Excerpt.ts"
import { HandshakeError } from "../../HandshakeError.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import * as Transcript from "../../Transcript.ts"
import * as StandardStreams from "./standardStreams.ts"
import type { Talk } from "./talk.ts"

/** A text that can be seen, and where. */
export interface Seen {
  readonly where: string
  readonly text: string
}

const json = (value: unknown): string => {
  try {
    return JSON.stringify(value, (_, inner: unknown) => typeof inner === "bigint" ? String(inner) : inner) ?? ""
  } catch {
    return String(value)
  }
}

// A frequency has what it counts in a Map, which is nothing as JSON.
const entries = (state: object): unknown =>
  "occurrences" in state && state.occurrences instanceof Map ? [...state.occurrences] : state

const metricsOf = (registry: Context.Service.Shape<typeof Metric.MetricRegistry>): ReadonlyArray<Seen> =>
  Metric.snapshotUnsafe(Context.make(Metric.MetricRegistry, registry)).map(({ state, ...metric }) => ({
    where: "a metric",
    text: json(metric) + json(entries(state))
  }))

/** Many conversations that are watched, one after the other: what is printed is listened to once for all of them. */
export const watching = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => StandardStreams.listen(() => false)),
    () => effect,
    (stop) => Effect.sync(stop)
  )

/** What was seen; how spans have failed only if that is asked for: it is told with how the handshake has ended. */
export type Sight = (how?: "but for failures") => ReadonlyArray<Seen>

/**
 * Runs an Effect and collects the spans, the logs and the metrics that it makes, and what it prints. They become texts only
 * where somebody looks.
 */
export const watched = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  isLeak: (seen: Seen) => boolean
): Effect.Effect<readonly [A, Sight], E, R> =>
  Effect.gen(function*() {
    const printed: Array<Seen> = []
    const listening = Effect.acquireRelease(
      Effect.sync(() =>
        StandardStreams.listen((text, where) => {
          // A proof is known only when the conversation is over, so all of it is looked at then.
          printed.push({ where, text })
          // What anybody else prints meanwhile is none of this one's.
          return isLeak({ where, text })
        })
      ),
      (stop) => Effect.sync(stop)
    )
    const spans: Array<Tracer.Span> = []
    const logs: Array<Seen> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const logger = Logger.make((entry) => {
      logs.push({ where: "a log", text: Logger.formatLogFmt.log(entry) })
    })
    // Of its own: what was counted before is counted again.
    const registry = new Map()
    const result = yield* Effect.andThen(listening, effect).pipe(
      Effect.scoped,
      // What is noted at the span that is current is noted nowhere where there is none.
      Effect.withSpan("connection"),
      Effect.provideContext(
        Context.make(Tracer.Tracer, tracer).pipe(
          Context.add(References.CurrentLoggers, new Set([logger])),
          Context.add(References.MinimumLogLevel, "All"),
          Context.add(Metric.MetricRegistry, registry)
        )
      )
    )
    const seen: Sight = (how) => [
      ...printed,
      ...logs,
      ...spans.map((span) => ({
        where: "a span",
        text: [
          span.name,
          json([...span.attributes]),
          json(span instanceof Tracer.NativeSpan ? span.events : []),
          how === undefined && span.status._tag === "Ended" && Exit.isFailure(span.status.exit)
            ? Cause.pretty(span.status.exit.cause)
            : ""
        ].join("\n")
      })),
      ...metricsOf(registry)
    ]
    return [result, seen] as const
  })

/** What can be seen of the conversation itself. */
export const ofTalk = (talk: Talk): ReadonlyArray<Seen> => [
  { where: "the transcript", text: json(talk.transcript) },
  { where: "the stored transcript", text: Transcript.format(talk.transcript) },
  { where: "the diagram", text: `${Transcript.diagram(talk.transcript)}\n${Transcript.mermaid(talk.transcript)}` },
  ...ofFailure(talk)
]

/** What can be seen of how the handshake has ended, and where. */
export const ofFailure = (talk: Talk): ReadonlyArray<Seen> => {
  const seen: Array<Seen> = [{ where: "the name of a step", text: talk.steps.join("\n") }]
  if (talk.exit === undefined || Exit.isSuccess(talk.exit)) return seen
  const error = Cause.squash(talk.exit.cause)
  seen.push(...ofError(error))
  seen.push({ where: "the error as it is logged", text: Cause.pretty(talk.exit.cause) })
  if (error instanceof HandshakeError) {
    seen.push({ where: "the encoded error", text: json(Schema.encodeSync(HandshakeError)(error)) })
  }
  return seen
}

/** What an error tells by itself. */
export const ofError = (error: unknown): ReadonlyArray<Seen> => [
  { where: "the error's text", text: String(error) },
  { where: "the error's fields", text: json(error) }
]

/** Where a part first occurs in bytes, or -1. */
export const indexOf = (bytes: Uint8Array, part: Uint8Array): number => {
  for (let at = bytes.indexOf(part[0]); at !== -1; at = bytes.indexOf(part[0], at + 1)) {
    if (part.every((byte, i) => bytes[at + i] === byte)) return at
  }
  return -1
}

/** So long is what gives away something of a message, and so many of its parts are looked for. */
const shortestPart = 8
const mostParts = 8

/**
 * What looks like a digest or a token: hexadecimal with digits and letters, or letters of both cases and digits. Other words
 * may be names that are no secrets, such as `AUTHENTICATE`, `SCRAM-SHA-256` and `depot/1.2.3`.
 */
const isToken = (word: string): boolean =>
  /^(?=.*\d)(?=.*[a-f])[\da-f]+$/i.test(word) || /\d/.test(word) && /[a-z]/.test(word) && /[A-Z]/.test(word)

/**
 * The words of a message that may be secrets for themselves, such as a digest or a token, in JSON too; none of what is no
 * text, and not the message itself. `.`, `+`, `/`, `_`, `-` and `=` behind it are parts of a word, as in Base64.
 */
export const partsOf = (message: Uint8Array): ReadonlyArray<Uint8Array> => {
  const text = binary(message)
  if (/[^\t\n\r -~]/.test(text)) return []
  const words = text.match(/[A-Za-z0-9][\w.+/-]*=*/g) ?? []
  const parts = words.filter((word) => word.length >= shortestPart && word.length < text.length && isToken(word))
  return [...new Set(parts)].slice(0, mostParts).map((word) => new TextEncoder().encode(word))
}

/** So many bytes as hexadecimal digits, so many of them different, are no number and no constant. */
const shortestDigits = /(?:[\da-f]{2}){12,}/gi
const leastDifferent = 8

/**
 * What stands in hexadecimal digits somewhere, and is a part of one of these messages: a proof among bytes, of which nobody but
 * the protocol knows where it begins. None of what is said in the open as well.
 */
export const digitsOf = (
  seen: ReadonlyArray<Seen>,
  hidden: ReadonlyArray<Uint8Array>,
  open: ReadonlyArray<Uint8Array>
): ReadonlyArray<Uint8Array> =>
  hidden.length === 0 ?
    [] :
    seen.flatMap(({ text }) => text.match(shortestDigits) ?? []).map((digits) =>
      Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16))
    ).filter((bytes) =>
      new Set(bytes).size >= leastDifferent && hidden.some((said) => indexOf(said, bytes) !== -1) &&
      open.every((said) => indexOf(said, bytes) === -1)
    )

export interface Leak {
  readonly where: string
  readonly at: number
  /** How many characters of it show, and of how many. */
  readonly length: number
  readonly of: number
  /** What stands around it. */
  readonly context: string
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

/** Each byte as a character. */
const binary = (bytes: Uint8Array): string => bytes.reduce((text, byte) => text + String.fromCharCode(byte), "")

/** Base64 of a secret that stands behind other bytes: what it looks like depends on how many, modulo three. */
const base64 = (secret: Uint8Array, before: number): string => {
  const text = btoa("\0".repeat(before) + binary(secret)).replace(/=+$/, "")
  // The first and the last character may hold bits of what is beside it.
  return text.slice(Math.ceil((before * 4) / 3), (before + secret.length) % 3 === 0 ? undefined : -1)
}

const ofUrl = (base64: string): string => base64.replaceAll("+", "-").replaceAll("/", "_")

/** The ways in which a secret may be written down. */
const spellings = (secret: Uint8Array): ReadonlyArray<string> => [
  binary(secret),
  new TextDecoder().decode(secret),
  [...new TextDecoder().decode(secret)].reverse().join(""),
  encodeURIComponent(new TextDecoder().decode(secret)),
  ...[0, 1, 2].map((before) => ofUrl(base64(secret, before))),
  hex(secret),
  hex(secret).toUpperCase(),
  base64(secret, 0),
  base64(secret, 1),
  base64(secret, 2),
  [...secret].join(","),
  [...secret].join(" ")
]

/**
 * How much of a secret gives it away: three quarters of it. Less of it may be a word that stands there for itself.
 */
const tellTale = (length: number): number => Math.max(Math.min(length, 6), Math.ceil((length * 3) / 4))

/** What is said, for who hears it. */
export const ofBytes = (said: ReadonlyArray<Uint8Array>): ReadonlyArray<Seen> =>
  said.length === 0 ? [] : [{ where: "what it says, which undisturbed never says it", text: binary(concat(said)) }]

/** The parts of one spelling that give it away, each from its place on, and what all of them have in common. */
const spelt = (text: string) => {
  const length = tellTale(text.length)
  return {
    core: text.slice(text.length - length, length),
    of: text.length,
    parts: Array.from({ length: text.length - length + 1 }, (_, from) => text.slice(from, from + length))
  }
}

const speltOf = (secrets: ReadonlyArray<Uint8Array>) =>
  secrets.flatMap((secret) => [...new Set(spellings(secret))].filter((text) => text.length > 0).map(spelt))

/** Puts `***` in the place of secrets, and of a good part of one. */
export const concealing = (secrets: ReadonlyArray<Uint8Array>) => {
  const all = speltOf(secrets)
  return (text: string): string => {
    let shown = text
    for (const { core, of, parts } of all) {
      if (!shown.includes(core)) continue
      for (const [from, part] of parts.entries()) {
        for (let at = shown.indexOf(part); at !== -1; at = shown.indexOf(part, at)) {
          const begins = Math.max(0, at - from)
          shown = `${shown.slice(0, begins)}***${shown.slice(begins + of)}`
          at = begins + 3
        }
      }
    }
    return shown
  }
}

/** Looks for secrets, or for a good part of one, in what can be seen. */
export const hiding = (secrets: ReadonlyArray<Uint8Array>) => {
  const all = speltOf(secrets)
  return (seen: ReadonlyArray<Seen>): Leak | undefined => {
    for (const { text, where } of seen) {
      for (const { core, of, parts } of all) {
        // Where that is missing all of them are.
        if (!text.includes(core)) continue
        for (const [from, part] of parts.entries()) {
          const at = text.indexOf(part)
          if (at === -1) continue
          // The proof of a leak must not be another one: all of the secret is left out, wherever a part of it was found.
          const before = text.slice(Math.max(0, at - from - 24), Math.max(0, at - from))
          const behind = text.slice(at - from + of, at - from + of + 24)
          return { where, at, length: part.length, of, context: Excerpt.ofString(`${before}***${behind}`) }
        }
      }
    }
    return undefined
  }
}
