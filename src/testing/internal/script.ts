/**
 * Plays the steps of a script on one connection.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../../Codec.ts"
import { type Connection, connectionOf } from "../../internal/connection/connection.ts"
import { howItEnded, implOf, secretly, TransportImpl } from "../../internal/connection/transport.ts"
import * as Literal from "../../internal/text/literal.ts"
import * as Transcript from "../../Transcript.ts"
import * as Transport from "../../Transport.ts"
import type { TransportError } from "../../TransportError.ts"

export const TypeId = "~effect-handshake/ScriptedPeer/Step"

/**
 * One step of a script. `text` is how a failure names it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Step {
  readonly [TypeId]: typeof TypeId
  readonly text: string
}

/** Every `Step` is one of these: the interface is sealed by its type id. */
export class StepImpl implements Step {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly text: string
  readonly play: (player: Player) => Effect.Effect<void, Mismatch>

  constructor(text: string, play: (player: Player) => Effect.Effect<void, Mismatch>) {
    this.text = text
    this.play = play
  }
}

export const stepOf = (step: Step): StepImpl => step as StepImpl

/** What a step wanted and what it got instead: for a sentence, and as lines of a difference. */
export interface Mismatch {
  readonly happened: string
  readonly expected: string
  readonly actual: ReadonlyArray<string>
  /** Where the first of these lines begins to differ from what was expected. */
  readonly column?: number | undefined
}

/** What a step waits for, as it is shown, and its bytes where it has to be just these. */
interface Wanted {
  readonly shown: string
  readonly secret: boolean
  readonly bytes?: Uint8Array | undefined
}

const received = `${Literal.signs.received} `
const sent = `${Literal.signs.sent} `

/** Something came, and it was not what was wanted. */
export const otherCame = (happened: string, pair: {
  readonly expected: string
  readonly actual: string
  readonly column?: number | undefined
}): Mismatch => ({
  happened,
  expected: received + pair.expected,
  actual: [received + pair.actual],
  column: pair.column === undefined ? undefined : received.length + pair.column
})

/** The conversation so far, what was expected, and what came. */
export const draw = (conversation: ReadonlyArray<string>, { actual, column, expected }: Mismatch): string => {
  const lines = conversation.map((line) => `    ${line}`)
  lines.push(`  - ${expected}`)
  for (const [index, line] of actual.entries()) {
    lines.push(`  + ${line}`)
    if (index === 0 && column !== undefined) lines.push(`    ${" ".repeat(column)}^`)
  }
  return lines.join("\n")
}

/** Takes exactly these bytes, and none of them once one is another. */
const literal = (expected: Uint8Array): Codec.Codec<Uint8Array, never> =>
  Codec.make<Uint8Array, never>({
    maxLength: Infinity, // it takes no more than is expected
    decoder: () => {
      let same = 0
      return {
        decode: (input) => {
          for (const end = Math.min(expected.length, input.length); same < end; same++) {
            if (input.at(same) !== expected[same]) {
              return Result.fail(new Codec.MalformedFrame({ problem: "other bytes came", excerpt: "", fault: "peer" }))
            }
          }
          return same < expected.length ? undefined : Result.succeed(input.take(same))
        }
      }
    },
    encode: () => {}
  })

/** How many lines of the conversation a mismatch shows. */
const shownLines = 16

export class Player {
  /** The connection as nothing but bytes. */
  readonly raw: TransportImpl<Uint8Array, Uint8Array>
  private readonly connection: Connection
  private readonly scope: Scope.Closeable
  private readonly recorder: Transcript.Recorder
  private readonly patience: Duration.Duration
  private readonly breakOff: Effect.Effect<void>
  // A decoder lives as long as its connection: it may know in which phase the protocol is.
  private readonly transports = new Map<unknown, unknown>()
  private readonly lines: Array<string> = []
  /** Why nothing can be said any more. */
  private over: string | undefined = undefined

  constructor(options: {
    readonly raw: TransportImpl<Uint8Array, Uint8Array>
    readonly scope: Scope.Closeable
    readonly recorder: Transcript.Recorder
    readonly patience: Duration.Duration
    readonly breakOff: Effect.Effect<void>
  }) {
    this.raw = options.raw
    this.connection = options.raw.connection
    this.scope = options.scope
    this.recorder = options.recorder
    this.patience = options.patience
    this.breakOff = options.breakOff
  }

  /** Opens the connection, or says why not. */
  static open = Effect.fnUntraced(function*(patience: Duration.Duration) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const recorder = yield* Transcript.recorder
    const others = yield* Transport.CurrentObserver
    const socket = yield* Socket.Socket
    // Only the socket's own writer can break the connection.
    let breakOff: Effect.Effect<void> = Effect.void
    const tapped = connectionOf(socket) !== undefined ? socket : Socket.make({
      reader: socket.reader,
      writer: Effect.tap(socket.writer, (writer) =>
        Effect.sync(() => {
          breakOff = Effect.ignore(writer.write(new Socket.CloseEvent(1006)))
        }))
    })
    const raw = yield* Transport.framed(Codec.bytes).pipe(
      Effect.provideService(Socket.Socket, tapped),
      Effect.provideService(Scope.Scope, scope),
      Effect.provideService(Transport.CurrentObserver, (event) => {
        recorder.observer(event)
        others?.(event)
      }),
      Effect.mapError((error) => error.message),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.fail(`the connection was not open within ${Duration.format(patience)}`)
      })
    )
    return new Player({ raw: implOf(raw), scope, recorder, patience, breakOff })
  })

  get transcript(): Transcript.Transcript {
    return this.recorder.entries()
  }

  /** The last lines of what went as the script wants it. */
  get conversation(): ReadonlyArray<string> {
    const skipped = this.lines.length - shownLines
    return skipped > 0 ? [`… ${skipped} more`, ...this.lines.slice(skipped)] : this.lines
  }

  /** The connection with the frames of a codec. */
  transport<In, Out>(codec: Codec.Codec<In, Out>): TransportImpl<In, Out> {
    // The key is the codec that it was made with.
    const known = this.transports.get(codec) as TransportImpl<In, Out> | undefined
    if (known !== undefined) return known
    const made = new TransportImpl(this.connection, codec, this.raw.observer, undefined)
    this.transports.set(codec, made)
    return made
  }

  private inTime<A>(effect: Effect.Effect<A, Mismatch>, late: () => Mismatch): Effect.Effect<A, Mismatch> {
    return Effect.timeoutOrElse(effect, {
      duration: this.patience,
      orElse: () => Effect.suspend(() => Effect.fail(late()))
    })
  }

  /** Takes one frame, and lets a function say how it is noted or what is wrong with it. */
  take<In>(
    transport: TransportImpl<In, never>,
    wanted: Wanted,
    judge: (frame: In) => Effect.Effect<string, Mismatch>
  ): Effect.Effect<In, Mismatch> {
    const frame = Effect.mapError(transport.receive, (error) => this.unmet(wanted, error))
    return secretly(
      transport,
      wanted.secret ? "secret" : undefined,
      this.inTime(frame, () => this.unmet(wanted, "silence"))
    ).pipe(
      Effect.tap((frame) =>
        Effect.map(judge(frame), (shown) => {
          this.lines.push(received + shown)
        })
      )
    )
  }

  takeBytes(wanted: Wanted & { readonly bytes: Uint8Array }): Effect.Effect<void, Mismatch> {
    // A transport of its own each time: its decoder knows how far it has compared.
    return Effect.suspend(() =>
      wanted.bytes.length === 0 ? Effect.void : Effect.asVoid(
        this.take(
          new TransportImpl(this.connection, literal(wanted.bytes), this.raw.observer, undefined),
          wanted,
          () => Effect.succeed(wanted.shown)
        )
      )
    )
  }

  /** Waits until the other side has ended what it says. */
  takeEnd(how: Transcript.End["how"]): Effect.Effect<void, Mismatch> {
    const wanted: Wanted = { shown: Literal.ends[how], secret: false }
    const end = Effect.matchEffect(this.raw.receive, {
      onSuccess: (bytes) => Effect.fail(surplus(wanted, bytes)),
      onFailure: (error) => {
        if (howItEnded(error) !== how) return Effect.fail(this.unmet(wanted, error))
        this.lines.push(received + wanted.shown)
        return Effect.void
      }
    })
    return this.inTime(end, () => this.unmet(wanted, "silence"))
  }

  takeNothing(duration: Duration.Duration): Effect.Effect<void, Mismatch> {
    const wanted: Wanted = { shown: `nothing for ${Duration.format(duration)}`, secret: false }
    return Effect.matchEffect(this.raw.receive, {
      onSuccess: (bytes) => Effect.fail(surplus(wanted, bytes)),
      onFailure: (error) => Effect.fail(this.unmet(wanted, error))
    }).pipe(
      Effect.timeoutOrElse({ duration, orElse: () => Effect.void })
    )
  }

  say<In, Out>(
    transport: TransportImpl<In, Out>,
    frames: ReadonlyArray<Out>,
    shown: string,
    secret: boolean
  ): Effect.Effect<void, Mismatch> {
    const unsent = (why: string): Mismatch => ({
      happened: `it was not sent: ${why}`,
      expected: sent + shown,
      actual: [`(${why})`]
    })
    return Effect.suspend(() => {
      if (this.over !== undefined) return Effect.fail(unsent(this.over))
      const written = Effect.mapError(transport.sendAll(frames), (error) => unsent(error.message))
      const late = () => unsent(`the other side has not taken it in ${Duration.format(this.patience)}`)
      return Effect.map(secretly(transport, secret ? "secret" : undefined, this.inTime(written, late)), () => {
        this.lines.push(sent + shown)
      })
    })
  }

  /** Ends what this side says. */
  readonly end: Effect.Effect<void> = Effect.suspend(() => {
    this.note("closed", "this side has ended what it says")
    return Effect.flatMap(this.connection.socket.writer, (writer) => writer.write(new Socket.CloseEvent(1000))).pipe(
      Effect.scoped,
      Effect.ignore
    )
  })

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.note("closed", "this side has closed the connection")
    return Scope.close(this.scope, Exit.void)
  })

  readonly reset: Effect.Effect<void> = Effect.suspend(() => {
    this.note("broken", "this side has broken the connection off")
    return Effect.andThen(this.breakOff, Scope.close(this.scope, Exit.void))
  })

  private note(how: Transcript.End["how"], what: string): void {
    this.over = what
    this.lines.push(sent + Literal.ends[how])
    this.recorder.note(what, { by: "self", how })
  }

  /** What came in the place of what was wanted. */
  private unmet(wanted: Wanted, error: TransportError | "silence"): Mismatch {
    const { unread } = this.connection.inbox
    const bytes = unread.peek(0, unread.length)
    const shown = wanted.secret ? Literal.hidden(bytes.length) : Literal.excerpt(bytes)
    const came = (happened: string): Mismatch =>
      otherCame(
        happened,
        wanted.bytes === undefined || wanted.secret
          ? { expected: wanted.shown, actual: shown }
          : Literal.pairOfBytes(wanted.bytes, bytes)
      )
    // What had come by the end, or in time, and what came then.
    const begun = (happened: string, last: string): Mismatch => {
      if (bytes.length === 0) return { happened, expected: received + wanted.shown, actual: [last] }
      const mismatch = came(happened)
      return { ...mismatch, actual: [...mismatch.actual, last] }
    }
    if (error === "silence") {
      const patience = Duration.format(this.patience)
      return bytes.length === 0
        ? begun(`nothing came in ${patience}`, `(nothing in ${patience})`)
        : begun(`only ${shown} came in ${patience}`, `(nothing more in ${patience})`)
    }
    switch (howItEnded(error)) {
      case "closed":
        return begun(
          `the connection ended${bytes.length === 0 ? "" : ` after ${shown}`}`,
          received + Literal.ends.closed
        )
      case "broken":
        return begun(error.message, received + Literal.ends.broken)
      case undefined:
        // The only bytes that an exact expectation cannot decode are other ones.
        return wanted.bytes !== undefined && error.reason._tag === "MalformedFrame"
          ? came(`${shown} came`)
          : { happened: error.message, expected: received + wanted.shown, actual: [`(${error.message})`] }
    }
  }
}

const surplus = (wanted: Wanted, bytes: Uint8Array): Mismatch => {
  const shown = Literal.excerpt(bytes)
  return otherCame(`${shown} came`, { expected: wanted.shown, actual: shown })
}
