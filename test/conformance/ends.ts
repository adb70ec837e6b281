/**
 * What a scenario does with sockets, and what it has seen.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import { text } from "../support/conversation.ts"

/** One implementation of sockets. */
export interface Stack {
  readonly name: string
  /** Whether an end goes on to send when its peer has ended. */
  readonly halfOpen: boolean
  readonly open: Effect.Effect<Opened, unknown, Scope.Scope>
}

export interface Opened {
  readonly server: SocketServer.SocketServer["Service"]
  readonly client: Socket.Socket
  /** A socket that dials where nobody listens. */
  readonly nowhere: Socket.Socket
  /** Waits until nothing happens any more. */
  readonly settled: Effect.Effect<void>
}

const shown = (value: unknown): string => {
  if (!Array.isArray(value)) return "done"
  if (value.length !== 1 || !(value[0] instanceof Uint8Array)) return `${value.length} chunks`
  return value[0].length > 40 ? "many bytes" : JSON.stringify(text(value[0]))
}

/** What became of something: its value, or the reason why not. */
const outcome = (exit: Exit.Exit<unknown, unknown> | undefined): string => {
  if (exit === undefined) return "waits"
  if (Exit.isSuccess(exit)) return shown(exit.value)
  const error = Cause.squash(exit.cause)
  if (!Socket.isSocketError(error)) return Cause.pretty(exit.cause)
  const { reason } = error
  return reason._tag === "SocketCloseError" ? `SocketCloseError ${reason.code}` : reason._tag
}

/** Something that was begun. */
export interface Begun {
  /** Notes what has become of it by now. */
  readonly look: Effect.Effect<void>
  readonly interrupt: Effect.Effect<void>
}

/** What was seen, in order. */
export class Notes {
  readonly lines: Array<string> = []
  readonly settled: Effect.Effect<void>

  constructor(settled: Effect.Effect<void>) {
    this.settled = settled
  }

  add(line: string): void {
    this.lines.push(line)
  }

  /** Begins it, lets everything happen that follows, and notes what has become of it. */
  attempt(what: string, effect: Effect.Effect<unknown, unknown>): Effect.Effect<Begun> {
    return Effect.gen({ self: this }, function*() {
      const fiber = yield* Effect.forkDetach(effect, { startImmediately: true })
      yield* this.settled
      const look = Effect.sync(() => this.add(`${what}: ${outcome(fiber.pollUnsafe())}`))
      yield* look
      return { look, interrupt: Effect.andThen(Fiber.interrupt(fiber), this.settled) }
    })
  }
}

/** One socket: each thing it does is noted. */
export class End {
  readonly name: string
  private readonly socket: Socket.Socket
  private readonly notes: Notes
  private reading = Scope.makeUnsafe()
  private writing = Scope.makeUnsafe()
  private reader: Socket.Reader | undefined = undefined
  private writer: Socket.Writer | undefined = undefined

  constructor(name: string, socket: Socket.Socket, notes: Notes) {
    this.name = name
    this.socket = socket
    this.notes = notes
  }

  private attempt(what: string, effect: Effect.Effect<unknown, unknown>): Effect.Effect<Begun> {
    return this.notes.attempt(`${this.name} ${what}`, effect)
  }

  /** Acquires the reader; where one was closed before, again. */
  get open(): Effect.Effect<Begun> {
    return this.attempt(
      "opens",
      Effect.suspend(() => {
        this.reading = Scope.makeUnsafe()
        return Effect.asVoid(
          Effect.map(Scope.provide(this.socket.reader, this.reading), (reader) => {
            this.reader = reader
          })
        )
      })
    )
  }

  get pull(): Effect.Effect<Begun> {
    return this.attempt("pulls", Effect.suspend(() => this.reader!.pull))
  }

  private writeWith(
    what: string,
    f: (writer: Socket.Writer) => Effect.Effect<void, Socket.SocketError>
  ): Effect.Effect<Begun> {
    return this.attempt(
      what,
      Effect.suspend(() =>
        this.writer !== undefined
          ? f(this.writer)
          : Effect.flatMap(Scope.provide(this.socket.writer, this.writing), (writer) => {
            this.writer = writer
            return f(writer)
          })
      )
    )
  }

  write(chunk: string | number): Effect.Effect<Begun> {
    return typeof chunk === "string"
      ? this.writeWith(`writes ${chunk}`, (writer) => writer.write(chunk))
      : this.writeWith(`writes ${chunk} bytes`, (writer) => writer.write(new Uint8Array(chunk).fill(120)))
  }

  writeAll(...chunks: [string, ...Array<string>]): Effect.Effect<Begun> {
    const all: NonEmptyReadonlyArray<string> = chunks
    return this.writeWith(`writes ${chunks.join(" and ")}`, (writer) => writer.writeAll(all))
  }

  closeEvent(code: number): Effect.Effect<Begun> {
    return this.writeWith(`writes a close event ${code}`, (writer) => writer.write(new Socket.CloseEvent(code)))
  }

  /** Closes the scope of its writer. */
  get end(): Effect.Effect<Begun> {
    return this.attempt(
      "ends",
      Effect.suspend(() =>
        Effect.andThen(
          // It has to have a writer for it to have an end.
          this.writer === undefined ? Scope.provide(this.socket.writer, this.writing) : Effect.void,
          Scope.close(this.writing, Exit.void)
        )
      )
    )
  }

  /** Closes the scope of its reader. */
  get close(): Effect.Effect<Begun> {
    return this.attempt("closes", Effect.suspend(() => Scope.close(this.reading, Exit.void)))
  }

  /** Pulls until that many bytes have come. */
  pullAll(length: number): Effect.Effect<void> {
    return this.pullWhile(length, (pulled) => pulled < length)
  }

  /** Pulls until no more will come, and notes whether it were that many bytes. */
  pullToEnd(length: number): Effect.Effect<void> {
    return this.pullWhile(length, () => true)
  }

  private pullWhile(expected: number, goesOn: (pulled: number) => boolean): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      let pulled = 0
      let why = ""
      while (goesOn(pulled) && why === "") {
        const exit = yield* Effect.exit(this.reader!.pull)
        if (Exit.isFailure(exit)) why = `, then: ${outcome(exit)}`
        else for (const chunk of exit.value) pulled += chunk.length
      }
      yield* this.notes.settled
      // How many get through before a connection is cut is a matter of buffers.
      this.notes.add(`${this.name} has pulled ${pulled < expected ? "fewer than " : ""}${expected} bytes${why}`)
    })
  }

  /** Nothing is left of it. */
  get abandon(): Effect.Effect<void> {
    return Effect.suspend(() => Scope.close(this.reading, Exit.void))
  }
}

/** A stack as a scenario sees it. */
export class World {
  readonly halfOpen: boolean
  readonly notes: Notes
  readonly client: End
  readonly server: SocketServer.SocketServer["Service"]
  readonly settled: Effect.Effect<void>
  private readonly opened: Opened
  private readonly accepted = Effect.runSync(Queue.unbounded<Socket.Socket>())
  private readonly ends: Array<End> = []

  constructor(opened: Opened, halfOpen: boolean) {
    this.opened = opened
    this.halfOpen = halfOpen
    this.settled = opened.settled
    this.notes = new Notes(opened.settled)
    this.server = opened.server
    this.client = this.endOf("client", opened.client)
  }

  endOf(name: string, socket: Socket.Socket): End {
    const end = new End(name, socket, this.notes)
    this.ends.push(end)
    return end
  }

  /** One more end of the same client's socket. */
  again(name: string): End {
    return this.endOf(name, this.opened.client)
  }

  get nowhere(): End {
    return this.endOf("client", this.opened.nowhere)
  }

  /** Runs the server; whoever it accepts waits for `accept`. */
  get run(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.andThen(
      Effect.forkScoped(
        this.server.run((socket) => Effect.andThen(Queue.offer(this.accepted, socket), Effect.never)),
        { startImmediately: true }
      ),
      this.settled
    )
  }

  /** The server's end of the next connection, which has not acquired its reader. */
  accept(name = "server"): Effect.Effect<End> {
    return Effect.map(Queue.take(this.accepted), (socket) => this.endOf(name, socket))
  }

  /** Notes whether there is a connection for the server's handler. */
  get notesAccepted(): Effect.Effect<void> {
    return Effect.map(
      Queue.size(this.accepted),
      (size) => this.notes.add(`the server has ${size === 0 ? "nobody" : "somebody"}`)
    )
  }

  /** A connection that is open at both ends. */
  get connected(): Effect.Effect<readonly [client: End, server: End], never, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      yield* this.run
      yield* this.client.open
      const server = yield* this.accept()
      yield* server.open
      this.notes.lines.length = 0
      return [this.client, server] as const
    })
  }

  get abandon(): Effect.Effect<void> {
    return Effect.forEach(this.ends, (end) => end.abandon, { discard: true })
  }
}
