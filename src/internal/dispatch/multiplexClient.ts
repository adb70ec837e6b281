/**
 * The client's half of `Multiplex`: the calls over one transport.
 *
 * @internal
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { TransportError } from "../../TransportError.ts"
import type { TransportImpl } from "../connection/transport.ts"
import type { Ended } from "./calls.ts"
import { CallsById } from "./callsById.ts"
import type * as Multiplex from "./multiplexFrames.ts"

interface Call<Id, Request, Response, Failure> {
  readonly request: Request
  id: Id | undefined
  readonly settle: (exit: Exit.Exit<Response, Failure | TransportError>) => void
}

/**
 * A call goes through these states:
 *
 * | state | kept in | its id | its place | an interruption | an answer |
 * |---|---|---|---|---|---|
 * | waiting for a place, or for a write to end | `waiting` | none yet | none | over, nothing is sent | |
 * | in flight | `inFlight` | taken | taken | abandoned; with a cancel that nothing answers: late | over |
 * | abandoned | `inFlight` | taken | taken | | over |
 * | late | `late` | taken | free | | over |
 */
export class MultiplexCalls<In, Out, Id, Request, Response, Failure>
  extends CallsById<In, Out, Id, Call<Id, Request, Response, Failure>>
{
  private readonly frames: Multiplex.ClientFrames<In, Out, Id, Request, Response, Failure>
  /** The requests whose cancels are still to be sent. */
  private readonly cancelling = new Set<Id>()

  constructor(
    impl: TransportImpl<In, Out>,
    frames: Multiplex.ClientFrames<In, Out, Id, Request, Response, Failure>,
    nextId: (last: Id | undefined) => Id,
    maxInFlight: number,
    context: Context.Context<never>
  ) {
    super(impl, context, maxInFlight, nextId)
    this.frames = frames
  }

  readonly call = (request: Request): Effect.Effect<Response, Failure | TransportError> =>
    Effect.callback((resume) => {
      if (this.end !== undefined) return resume(this.refusal(this.end))
      const call: Call<Id, Request, Response, Failure> = { request, id: undefined, settle: resume }
      this.enqueue(call)
      return Effect.sync(() => this.abandon(call))
    })

  /** Asks with a call whose answer goes nowhere; false where there is no place for it. */
  ask(request: Request): boolean {
    if (!this.hasPlace || this.waiting.size > 0 || this.end !== undefined) return false
    this.enqueue({ request, id: undefined, settle: this.settlePing })
    return true
  }

  private abandon(call: Call<Id, Request, Response, Failure>): void {
    if (this.waiting.delete(call)) return
    const { id } = call
    if (id === undefined || this.frames.cancel === undefined) return
    this.cancelling.add(id)
    if (this.frames.cancelled === undefined) this.leaveLate(id)
    this.sendSoon()
  }

  protected override stopped(end: Ended): void {
    super.stopped(end)
    this.cancelling.clear()
  }

  protected accept(frame: In): true {
    const answer = this.frames.fromServer(frame)
    if (answer === undefined) return this.reject("an answer", frame)
    const { id } = answer
    const call = this.inFlight.get(id)
    if (call === undefined && !this.late.delete(id)) return this.reject("an answer to a request in flight", frame)
    this.inFlight.delete(id)
    this.cancelling.delete(id)
    call?.settle(answer._tag === "Response" ? Exit.succeed(answer.body) : Exit.fail(answer.error))
    return true
  }

  protected override get mayBegin(): boolean {
    return this.cancelling.size > 0 || super.mayBegin
  }

  protected override add(): void {
    for (const id of this.cancelling) {
      if (this.frames.cancel !== undefined) this.say(this.frames.cancel(id))
    }
    this.cancelling.clear()
    super.add()
  }

  protected requestOf({ request }: Call<Id, Request, Response, Failure>): Out {
    return this.frames.request(this.freeId, request)
  }
}
