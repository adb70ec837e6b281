/**
 * What was said on a connection, in order and without secrets: recorded, stored, compared and drawn.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as TextDiff from "effect/TextDiff"
import * as Excerpt from "./Excerpt.ts"
import * as Monotonic from "./internal/connection/monotonic.ts"
import * as Sequence from "./internal/svg/sequence.ts"
import * as Literal from "./internal/text/literal.ts"
import * as Peer from "./Peer.ts"
import * as Transport from "./Transport.ts"

/**
 * A message that one side has said.
 *
 * **Details**
 *
 * - `atMs`: milliseconds since the beginning of the recording.
 * - `direction`: whether the side that recorded it has `sent` or `received` it.
 * - `frame`: a printable excerpt.
 * - `bytes`: the message on the wire, with its delimiter or its length field; `undefined` where it is a secret.
 * - `length`: how many bytes it has on the wire, also where it is a secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface Message {
  readonly atMs: number
  readonly direction: "sent" | "received"
  readonly frame: string
  readonly bytes: Uint8Array | undefined
  readonly length: number
}

/**
 * What happened to the connection, or what somebody has noted.
 *
 * **Details**
 *
 * `end` is there where a side has ended the connection: which one, as seen by the side that recorded it, and whether it
 * was `closed` in order or `broken`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Note {
  readonly atMs: number
  readonly direction: "note"
  readonly frame: string
  readonly end?: End | undefined
}

/**
 * Who has ended a connection, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface End {
  readonly by: "self" | "peer"
  readonly how: "closed" | "broken"
}

/**
 * One line of a transcript.
 *
 * @category models
 * @since 0.1.0
 */
export type Entry = Message | Note

/**
 * What was said, in order.
 *
 * @category models
 * @since 0.1.0
 */
export type Transcript = ReadonlyArray<Entry>

/**
 * Collects a transcript while a conversation goes on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recorder {
  /** To be provided as `Transport.CurrentObserver`. */
  readonly observer: Transport.Observer
  /** Adds a note. */
  readonly note: (text: string, end?: End) => void
  /** What was said so far. */
  readonly entries: () => Transcript
}

/**
 * Begins a recording.
 *
 * @category constructors
 * @since 0.1.0
 */
export const recorder: Effect.Effect<Recorder> = Effect.map(Clock.Clock, (clock) => {
  const entries: Array<Entry> = []
  const start = Monotonic.millisOf(clock)
  const now = () => Math.round(Monotonic.millisOf(clock) - start)
  const say = (direction: Message["direction"], { bytes, frame, length }: Transport.Observed) => {
    entries.push({ atMs: now(), direction, frame, bytes, length })
  }
  const note = (frame: string, end?: End) => {
    entries.push({ atMs: now(), direction: "note", frame, ...(end && { end }) })
  }
  return {
    observer: (event) => {
      switch (event._tag) {
        case "Connected":
          return note(`connected to ${Peer.format(event.peer)}`)
        case "Introduced":
          return note(`introduced: ${Peer.formatIntroduced(event.peer)}`)
        case "Secured":
          return note(`encrypted: ${Peer.formatTls(event.tls)}`)
        case "Sent":
          return say("sent", event)
        case "Received":
          return say("received", event)
        case "Ended":
          return note(event.message, event.how && { by: "peer", how: event.how })
      }
    },
    note,
    entries: () => entries.slice()
  }
})

/**
 * Runs an Effect and records what is said on the connections that it opens. Returns how it ended, and the transcript.
 *
 * **Details**
 *
 * What is said on them when it has ended is not recorded any more, and costs nothing. Whoever watches them anyway, by
 * `Transport.CurrentObserver`, goes on to do so.
 *
 * **Example** (The transcript of a client)
 *
 * ```ts
 * import { Codec, Handshake, Transcript, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const client = Transport.framed(Codec.lines()).pipe(Handshake.send("You ready?"), Handshake.expect("Bring it!"))
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const server = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, there))
 *   yield* server.send("Bring it!")
 *   const [, transcript] = yield* Transcript.record(client).pipe(Effect.provideService(Socket.Socket, here))
 *   return transcript.map((entry) => `${entry.direction} ${entry.frame}`)
 * })
 *
 * console.log((await Effect.runPromise(Effect.scoped(program))).join("\n"))
 * // => note connected to unknown peer
 * // => sent "You ready?"
 * // => received "Bring it!"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const record = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<readonly [exit: Exit.Exit<A, E>, transcript: Transcript], never, R> =>
  Effect.gen(function*() {
    const { entries, observer } = yield* recorder
    let others = yield* Transport.CurrentObserver
    let isOver = false
    const both = (event: Transport.Event) => {
      if (!isOver) observer(event)
      if (others?.(event) === Transport.unwatch) others = undefined
      return isOver && others === undefined ? Transport.unwatch : undefined
    }
    const exit = yield* Effect.exit(Effect.provideService(self, Transport.CurrentObserver, both))
    // A connection may live for weeks behind its handshake.
    isOver = true
    return [exit, entries()] as const
  })

/**
 * Hides entries: of a message only the length is left, of a note nothing.
 *
 * **When to use**
 *
 * Use before a transcript is stored or sent to somebody, where it contains what is no secret to the protocol but is one
 * to you, such as the name of a user. What a step or a codec says is secret never gets into a transcript.
 *
 * **Example** (Without names)
 *
 * ```ts
 * import { Transcript } from "effect-handshake"
 *
 * const bytes = new TextEncoder().encode("USER ada\n")
 *
 * const [entry] = Transcript.redact(
 *   [{ atMs: 0, direction: "sent", frame: "\"USER ada\"", bytes, length: bytes.length }],
 *   (entry) => entry.frame.includes("USER")
 * )
 *
 * console.log(entry.frame) // => <redacted>
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const redact: {
  (isSecret: (entry: Entry) => boolean): (self: Transcript) => Transcript
  (self: Transcript, isSecret: (entry: Entry) => boolean): Transcript
} = dual(2, (self: Transcript, isSecret: (entry: Entry) => boolean): Transcript =>
  self.map((entry): Entry => {
    if (!isSecret(entry)) return entry
    return entry.direction === "note"
      ? { ...entry, frame: Excerpt.redacted }
      : { ...entry, frame: Excerpt.redacted, bytes: undefined }
  }))

/**
 * The names of the two sides: `self` is the one that recorded a transcript, `peer` the other one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sides {
  /** What the side is called that has made the recording. Default: `client`. */
  readonly self?: string | undefined
  /** What the other side is called. Default: `server`. */
  readonly peer?: string | undefined
}

/**
 * What is drawn of an entry.
 *
 * @category models
 * @since 0.1.0
 */
export type Drawn = Pick<Entry, "atMs" | "direction" | "frame">

const selfName = (sides: Sides | undefined): string => sides?.self ?? "client"
const peerName = (sides: Sides | undefined): string => sides?.peer ?? "server"

/** Frames that are longer stand on several lines, so that a diagram fits into a window. */
const maxColumns = 72

const inLines = (frame: string): ReadonlyArray<string> => {
  const lines: Array<string> = []
  const chars = [...frame]
  for (let from = 0; from === 0 || from < chars.length; from += maxColumns) {
    lines.push(chars.slice(from, from + maxColumns).join(""))
  }
  return lines
}

/**
 * Draws a transcript as a sequence diagram in text. `self` is the side that recorded it, `peer` the other one.
 *
 * **Details**
 *
 * A frame of more than 72 characters stands on several lines.
 *
 * **Example** (A diagram)
 *
 * ```ts
 * import { Transcript } from "effect-handshake"
 *
 * console.log(Transcript.diagram([
 *   { atMs: 0, direction: "sent", frame: "\"You ready?\"" },
 *   { atMs: 2, direction: "received", frame: "\"Bring it!\"" }
 * ]))
 * // => client                  server
 * // =>   │                       │
 * // =>   │ "You ready?"          │
 * // =>   ├──────────────────────►│  0 ms
 * // =>   │           "Bring it!" │
 * // =>   │◄──────────────────────┤  2 ms
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const diagram = (
  transcript: ReadonlyArray<Drawn>,
  sides?: Sides
): string => {
  const self = selfName(sides)
  const peer = peerName(sides)
  const said = transcript.filter((entry) => entry.direction !== "note")
  // A label stands centred above its line, in `margin` or `margin + width + 1`.
  const left = Math.floor((self.length - 1) / 2)
  const right = Math.floor((peer.length - 1) / 2)
  const margin = " ".repeat(Math.max(2, left))
  const labels = self.length - left + right
  const width = Math.max(23, labels + 1, ...said.flatMap(({ frame }) => inLines(frame).map((line) => line.length + 3)))
  const first = " ".repeat(margin.length - left) + self
  const lines = [first.padEnd(margin.length + width + 1 - right) + peer, `${margin}│${" ".repeat(width)}│`]
  for (const { atMs, direction, frame } of transcript) {
    switch (direction) {
      case "sent":
        for (const line of inLines(frame)) lines.push(`${margin}│ ${line.padEnd(width - 1)}│`)
        lines.push(`${margin}├${"─".repeat(width - 1)}►│  ${atMs} ms`)
        break
      case "received":
        for (const line of inLines(frame)) lines.push(`${margin}│${line.padStart(width - 1)} │`)
        lines.push(`${margin}│◄${"─".repeat(width - 1)}┤  ${atMs} ms`)
        break
      case "note":
        lines.push(`${margin}· ${frame}  (${atMs} ms)`)
        break
    }
  }
  return lines.join("\n")
}

// What is left as it is. Everything else is an entity: Mermaid ends a text at `;` and `#`, makes tags of `<`, formulas of
// `$$` and directives of `%%`, and stumbles over the word `end`.
const special = /[^\p{L}\p{N} .,!?'()_-]|\bend\b/giu

const mermaidText = (text: string): string => {
  const escaped = text.replace(
    special,
    (part) => `#${part.codePointAt(0)};${part.slice(part.codePointAt(0)! > 0xffff ? 2 : 1)}`
  )
  // There is no message without a text.
  return escaped.trim() === "" ? "#160;" : escaped
}

/**
 * Draws a transcript as a sequence diagram for Mermaid, without the times.
 *
 * **Details**
 *
 * Whatever the frames and the names are, it is one valid diagram that shows them as they are.
 *
 * **Example** (A diagram for a README)
 *
 * ```ts
 * import { Transcript } from "effect-handshake"
 *
 * console.log(Transcript.mermaid([
 *   { atMs: 0, direction: "sent", frame: "\"You ready?\"" },
 *   { atMs: 2, direction: "received", frame: "\"Bring it!\"" },
 *   { atMs: 3, direction: "note", frame: "the peer closed the connection" }
 * ]))
 * // => sequenceDiagram
 * // =>   participant self as client
 * // =>   participant peer as server
 * // =>   self->>peer: #34;You ready?#34;
 * // =>   peer->>self: #34;Bring it!#34;
 * // =>   Note over self,peer: the peer closed the connection
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const mermaid = (
  transcript: ReadonlyArray<Drawn>,
  sides?: Sides
): string => {
  const arrows: Record<Entry["direction"], string> = {
    sent: "self->>peer",
    received: "peer->>self",
    note: "Note over self,peer"
  }
  return [
    "sequenceDiagram",
    `  participant self as ${mermaidText(selfName(sides))}`,
    `  participant peer as ${mermaidText(peerName(sides))}`,
    ...transcript.map(({ direction, frame }) => `  ${arrows[direction]}: ${mermaidText(frame)}`)
  ].join("\n")
}

/**
 * How a picture of a transcript is made.
 *
 * **Details**
 *
 * - `title`: what it is called, for those who do not see it. Default: who speaks with whom.
 * - `error`: why it ended as it did, such as the `message` of a `HandshakeError`. It stands below all that was said.
 *
 * @category models
 * @since 0.1.0
 */
export interface SvgOptions extends Sides {
  /** What the picture is called, for whoever hears it read. Default: the names of both sides. */
  readonly title?: string | undefined
  /** What stands below it: how it failed. Default: nothing. */
  readonly error?: string | undefined
}

/**
 * Draws a transcript as a sequence diagram in SVG, with the times, and where a side has ended the connection.
 *
 * **Details**
 *
 * It is one file that needs no other, to be stored, shown in a page or given to somebody: light or dark as the reader has it
 * (`prefers-color-scheme`), with a title and a description for those who do not see it. What is a secret is `<redacted>`, as in
 * the transcript. Frames of more than 60 characters stand on several lines, and longer names than 32 are cut, so that it has at most
 * some 830 pixels in width, whatever was said.
 *
 * **Example** (A picture of a handshake that has failed)
 *
 * ```ts
 * import { Codec, Handshake, Transcript, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Exit } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const client = Transport.framed(Codec.lines()).pipe(Handshake.send("You ready?"), Handshake.expect("Bring it!"))
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const server = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, there))
 *   yield* server.send("What?")
 *   const [exit, transcript] = yield* Transcript.record(client).pipe(Effect.provideService(Socket.Socket, here))
 *   const error = Exit.findErrorOption(exit)
 *   return Transcript.svg(transcript, { error: error._tag === "Some" ? error.value.message : undefined })
 * })
 *
 * const svg = await Effect.runPromise(Effect.scoped(program))
 * console.log(svg.split("\n")[1]) // => <title>client and server</title>
 * ```
 *
 * @see {@link diagram} for a terminal
 *
 * @category formatting
 * @since 0.1.0
 */
export const svg = (
  transcript: ReadonlyArray<Drawn & { readonly end?: End | undefined }>,
  options?: SvgOptions
): string => {
  const self = selfName(options)
  const peer = peerName(options)
  return Sequence.draw(transcript, {
    self,
    peer,
    title: options?.title ?? `${self} and ${peer}`,
    error: options?.error
  })
}

const header = "effect-handshake transcript"
const version = 1

/** What a message shows where nothing else is said: its bytes without the end of a line, as the codec of lines does. */
const impliedFrame = (bytes: Uint8Array | undefined): string => {
  if (bytes === undefined) return Excerpt.redacted
  const feed = bytes.at(-1) === 0x0a ? 1 : 0
  const ending = feed === 1 && bytes.at(-2) === 0x0d ? 2 : feed
  return Excerpt.ofBytes(bytes.subarray(0, bytes.length - ending))
}

const impliedEnd = ({ by, how }: End): string =>
  by === "peer"
    ? how === "closed" ? "the peer closed the connection" : "the peer broke the connection off"
    : how === "closed"
    ? "this side closed the connection"
    : "this side broke the connection off"

const comment = (frame: string, implied: string): string =>
  frame === implied ? "" : `  # ${Literal.escapeText(frame)}`.trimEnd()

const formatEntry = (entry: Entry): string => {
  if (entry.direction !== "note") {
    const { bytes, direction, frame, length } = entry
    const said = bytes === undefined ? Literal.hidden(length) : Literal.quote(bytes)
    return `${Literal.signs[direction]} ${said}${comment(frame, impliedFrame(bytes))}`
  }
  if (entry.end === undefined) return `${Literal.signs.note} ${Literal.escapeText(entry.frame)}`.trimEnd()
  const direction = entry.end.by === "self" ? "sent" : "received"
  return `${Literal.signs[direction]} ${Literal.ends[entry.end.how]}${comment(entry.frame, impliedEnd(entry.end))}`
}

/**
 * A transcript as text to be stored, read by people and read back by {@link parse}.
 *
 * **Details**
 *
 * After the header and the names of the two sides it is one line for each entry: the time, `->` for what this side has
 * sent, `<-` for what it has received or `--` for a note, and then the bytes in quotes, exactly as they were on the wire.
 * Printable UTF-8 stands as it is, and anything else as `\n`, `\r`, `\t`, `\"`, `\\` or, byte by byte, as `\xff`. Of a
 * secret there is only the length. `end` is a side that has closed the connection, `reset` one that has broken it off.
 * Behind `#` stands how a message was described, where that is not just its text.
 *
 * **Example** (A session with a password)
 *
 * ```ts
 * import { Transcript } from "effect-handshake"
 *
 * const utf8 = (text: string) => new TextEncoder().encode(text)
 *
 * console.log(Transcript.format([
 *   { atMs: 0, direction: "sent", frame: "\"HELLO\"", bytes: utf8("HELLO\r\n"), length: 7 },
 *   { atMs: 12, direction: "received", frame: "challenge", bytes: Uint8Array.of(2, 0xc8, 0x41), length: 3 },
 *   { atMs: 12, direction: "sent", frame: "<redacted>", bytes: undefined, length: 8 },
 *   { atMs: 30, direction: "note", frame: "the peer closed the connection", end: { by: "peer", how: "closed" } }
 * ]))
 * // => effect-handshake transcript 1
 * // => self client
 * // => peer server
 * // =>
 * // =>  0 ms  -> "HELLO\r\n"
 * // => 12 ms  <- "\x02\xc8A"  # challenge
 * // => 12 ms  -> <redacted 8 bytes>
 * // => 30 ms  <- end
 * // =>
 * ```
 *
 * @category storing
 * @since 0.1.0
 */
export const format = (transcript: Transcript, sides?: Sides): string => {
  const times = transcript.map((entry) => String(entry.atMs))
  const width = times.reduce((width, time) => Math.max(width, time.length), 0)
  const lines = [
    `${header} ${version}`,
    `self ${Literal.escapeText(selfName(sides))}`.trimEnd(),
    `peer ${Literal.escapeText(peerName(sides))}`.trimEnd(),
    "",
    ...transcript.map((entry, i) => `${times[i].padStart(width)} ms  ${formatEntry(entry)}`)
  ]
  return `${lines.join("\n")}\n`
}

/**
 * A text is no transcript.
 *
 * @category errors
 * @since 0.1.0
 */
export class ParseError extends Schema.TaggedError<ParseError>()("TranscriptParseError", {
  line: Schema.Int,
  problem: Schema.String
}) {
  override get message(): string {
    return `line ${this.line} of the transcript: ${this.problem}`
  }
}

/**
 * A transcript that was stored, with the names of its sides.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recording {
  readonly self: string
  readonly peer: string
  readonly transcript: Transcript
}

/**
 * Reads what {@link format} has written, exactly.
 *
 * **Details**
 *
 * It may have been written or changed by hand: blanks, empty lines, comments and `\r\n` do not matter, and a message needs
 * no description.
 *
 * **Example** (By hand)
 *
 * ```ts
 * import { Transcript } from "effect-handshake"
 * import { Result } from "effect"
 *
 * const recording = Transcript.parse(`
 *   effect-handshake transcript 1
 *   self client
 *   peer server
 *
 *   # The server is busy.
 *   0 ms  -> "You ready?\\n"
 *   2 ms  <- "No! Go away!\\n"
 * `)
 * console.log(Result.getOrThrow(recording).transcript.map((entry) => entry.frame))
 * // => [ '"You ready?"', '"No! Go away!"' ]
 *
 * const broken = Transcript.parse("effect-handshake transcript 1\n0 ms -> You ready?")
 * console.log(Result.isFailure(broken) && broken.failure.message)
 * // => line 2 of the transcript: a message is bytes in double quotes, <redacted 8 bytes>, end or reset: "You ready?"
 * ```
 *
 * @category storing
 * @since 0.1.0
 */
export const parse = (text: string): Result.Result<Recording, ParseError> => {
  const transcript: Array<Entry> = []
  const names = { self: selfName(undefined), peer: peerName(undefined) }
  let begun = false
  for (const [index, row] of text.split("\n").entries()) {
    const line = row.trim()
    if (line === "" || line.startsWith("#")) continue
    const parsed = begun ? parseLine(line) : parseHeader(line)
    if (Result.isFailure(parsed)) {
      return Result.fail(new ParseError({ line: index + 1, problem: Excerpt.ofText(parsed.failure) }))
    }
    begun = true
    if (parsed.success === undefined) continue
    if ("direction" in parsed.success) transcript.push(parsed.success)
    else Object.assign(names, parsed.success)
  }
  return begun
    ? Result.succeed({ ...names, transcript })
    : Result.fail(new ParseError({ line: 1, problem: `it is empty, without even "${header} ${version}"` }))
}

type Parsed<A> = Result.Result<A, string>

const parseHeader = (line: string): Parsed<undefined> => {
  if (line === `${header} ${version}`) return Result.succeed(undefined)
  return Result.fail(
    line.startsWith(`${header} `)
      ? `it is of version ${line.slice(header.length + 1)}, and only version ${version} is known`
      : `it has to begin with "${header} ${version}"`
  )
}

const parseLine = (line: string): Parsed<Entry | Sides> => {
  const named = /^(self|peer)(?:\s+(.*))?$/su.exec(line)
  if (named !== null) return Result.map(Literal.unescapeText(named[2] ?? ""), (name) => ({ [named[1]]: name }))
  const match = /^(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*ms\s+(->|<-|--)(?:\s+(.*))?$/su.exec(line)
  if (match === null) return Result.fail(`a line is a time in ms, then ->, <- or --: ${Excerpt.ofString(line)}`)
  const [, time, sign, rest = ""] = match
  const atMs = Number(time)
  return sign === Literal.signs.note
    ? Result.map(Literal.unescapeText(rest), (frame) => ({ atMs, direction: "note", frame }))
    : parseSaid(atMs, sign === Literal.signs.sent ? "sent" : "received", rest)
}

const parseSaid = (atMs: number, direction: Message["direction"], said: string): Parsed<Entry> => {
  if (said.startsWith("\"")) {
    return Result.flatMap(Literal.unquote(said), ([bytes, rest]) =>
      Result.map(
        parseComment(rest, impliedFrame(bytes)),
        (frame) => ({ atMs, direction, frame, bytes, length: bytes.length })
      ))
  }
  const secret = /^<redacted (\d{1,15}) bytes?>(.*)$/su.exec(said)
  if (secret !== null) {
    return Result.map(
      parseComment(secret[2], impliedFrame(undefined)),
      (frame) => ({ atMs, direction, frame, bytes: undefined, length: Number(secret[1]) })
    )
  }
  const ended = /^(end|reset)\b(.*)$/su.exec(said)
  if (ended !== null) {
    const end: End = {
      by: direction === "sent" ? "self" : "peer",
      how: ended[1] === Literal.ends.closed ? "closed" : "broken"
    }
    return Result.map(parseComment(ended[2], impliedEnd(end)), (frame) => ({ atMs, direction: "note", frame, end }))
  }
  return Result.fail(
    `a message is bytes in double quotes, ${Literal.hidden(8)}, ${Literal.ends.closed} or ${Literal.ends.broken}: ${
      Excerpt.ofString(said)
    }`
  )
}

const parseComment = (rest: string, implied: string): Parsed<string> => {
  const text = rest.trim()
  if (text === "") return Result.succeed(implied)
  return text.startsWith("#")
    ? Literal.unescapeText(text.slice(1).trim())
    : Result.fail(`behind a message may be a # and a description: ${Excerpt.ofString(text)}`)
}

/** How many lines around a change are shown. */
const context = 3

/** How far the search for the smallest difference goes. */
const maxEdits = 1000

// Of a note nobody expects to be the same again, unless it says that a side has ended.
const isSaid = (entry: Entry): boolean => entry.direction !== "note" || entry.end !== undefined

const saysTheSame = (a: Entry, b: Entry): boolean => {
  if (a.direction === "note" || b.direction === "note") {
    return a.direction === "note" && b.direction === "note" && a.end?.by === b.end?.by && a.end?.how === b.end?.how
  }
  if (a.direction !== b.direction || a.length !== b.length) return false
  return a.bytes === undefined || b.bytes === undefined || a.bytes.every((byte, i) => byte === b.bytes![i])
}

const showSaid = (entry: Entry): string => {
  if (entry.direction !== "note") {
    return `${Literal.signs[entry.direction]} ${
      entry.bytes === undefined ? Literal.hidden(entry.length) : Literal.excerpt(entry.bytes)
    }`
  }
  return `${Literal.signs[entry.end?.by === "self" ? "sent" : "received"]} ${Literal.ends[entry.end?.how ?? "closed"]}`
}

/** The entries next to a change, and how many others there are. */
const showSame = (entries: ReadonlyArray<Entry>, isFirst: boolean, isLast: boolean): ReadonlyArray<string> => {
  const begin = isFirst ? 0 : context
  const end = entries.length - (isLast ? 0 : context)
  const shown = entries.map((entry) => `  ${showSaid(entry)}`)
  return end - begin <= 1 ? shown : [...shown.slice(0, begin), `  … ${end - begin} more`, ...shown.slice(end)]
}

/** A message and the one in its place. */
const showChange = (expected: Entry | undefined, actual: Entry | undefined): ReadonlyArray<string> => {
  if (
    expected !== undefined && actual !== undefined && expected.direction !== "note" && actual.direction !== "note" &&
    expected.direction === actual.direction && expected.bytes !== undefined && actual.bytes !== undefined
  ) {
    const pair = Literal.pairOfBytes(expected.bytes, actual.bytes)
    const sign = Literal.signs[expected.direction]
    return [
      `- ${sign} ${pair.expected}`,
      `+ ${sign} ${pair.actual}`,
      `${" ".repeat(sign.length + 3 + pair.column)}^`
    ]
  }
  const lines: Array<string> = []
  if (expected !== undefined) lines.push(`- ${showSaid(expected)}`)
  if (actual !== undefined) lines.push(`+ ${showSaid(actual)}`)
  return lines
}

/**
 * Compares what was said in two transcripts: `undefined` where it is the same, or a difference for people.
 *
 * **Details**
 *
 * Messages are compared by direction and bytes, and ends by who has ended and how; times, descriptions and other notes do
 * not matter. A secret message is the same as any other one of its direction and length.
 *
 * What was `expected` and is not there is marked `-`, what is there instead `+`, with a caret below the first byte that
 * differs.
 *
 * **Example** (Another answer)
 *
 * ```ts
 * import { Transcript } from "effect-handshake"
 *
 * const said = (direction: "sent" | "received", text: string) => {
 *   const bytes = new TextEncoder().encode(text)
 *   return { atMs: 0, direction, frame: text, bytes, length: bytes.length }
 * }
 *
 * console.log(Transcript.difference(
 *   [said("sent", "You ready?\n"), said("received", "Bring it!\n")],
 *   [said("sent", "You ready?\n"), said("received", "Bring me!\n")]
 * ))
 * // =>   -> "You ready?\n"
 * // => - <- "Bring it!\n"
 * // => + <- "Bring me!\n"
 * // =>             ^
 * ```
 *
 * @category comparing
 * @since 0.1.0
 */
export const difference = (expected: Transcript, actual: Transcript): string | undefined => {
  const edits = TextDiff.diffWith(saysTheSame)(expected.filter(isSaid), actual.filter(isSaid), { maxEdits })
  if (edits.every((edit) => edit._tag === "Equal")) return undefined
  const lines: Array<string> = []
  for (const [index, edit] of edits.entries()) {
    switch (edit._tag) {
      case "Equal":
        lines.push(...showSame(edit.items, index === 0, index === edits.length - 1))
        break
      case "Delete": {
        const next = edits[index + 1]
        const inserted = next?._tag === "Insert" ? next.items : []
        for (let i = 0; i < Math.max(edit.items.length, inserted.length); i++) {
          lines.push(...showChange(edit.items[i], inserted[i]))
        }
        break
      }
      case "Insert":
        // Else it stands beside what was deleted.
        if (edits[index - 1]?._tag !== "Delete") {
          for (const entry of edit.items) lines.push(...showChange(undefined, entry))
        }
        break
    }
  }
  return lines.join("\n")
}
