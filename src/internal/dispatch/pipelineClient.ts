/**
 * The client's half of `Pipeline`: the calls over one transport.
 *
 * @internal
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { TransportError } from "../../TransportError.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { Calls } from "./calls.ts"
import { InOrder } from "./inOrder.ts"

interface Call<Request, Response, Failure> {
  readonly request: Request
  readonly settle: (exit: Exit.Exit<Response, Failure | TransportError>) => void
  /** The call that was sent after it. */
  next: Call<Request, Response, Failure> | undefined
}

/**
 * A call goes through these states:
 *
 * | state | kept in | its place | an interruption | an answer |
 * |---|---|---|---|---|
 * | waiting for a place, or for a write to end | `waiting` | none | over, nothing is sent | |
 * | in flight | `inFlight` | taken | abandoned | over |
 * | abandoned | `inFlight` | taken | | over, and goes nowhere |
 */
export class PipelineCalls<In, Out, Response, Failure> extends Calls<In, Out, Call<Out, Response, Failure>> {
  private readonly inFlight = new InOrder<Call<Out, Response, Failure>>()
  private readonly read: (frame: In) => Exit.Exit<Response, Failure>

  constructor(
    impl: TransportImpl<In, Out>,
    read: (frame: In) => Exit.Exit<Response, Failure>,
    maxInFlight: number,
    context: Context.Context<never>
  ) {
    super(impl, context, maxInFlight)
    this.read = read
  }

  readonly call = (request: Out): Effect.Effect<Response, Failure | TransportError> =>
    Effect.callback((resume) => {
      if (this.end !== undefined) return resume(this.refusal(this.end))
      const call: Call<Out, Response, Failure> = { request, settle: resume, next: undefined }
      this.enqueue(call)
      // One that is in flight keeps its place, so that the answer to it goes to nobody else.
      return Effect.sync(() => this.waiting.delete(call))
    })

  /** Asks with a call whose answer goes nowhere; false where that would come behind other ones. */
  ask(request: Out): boolean {
    if (this.inFlight.size > 0 || this.waiting.size > 0 || this.end !== undefined) return false
    this.enqueue({ request, settle: this.settlePing, next: undefined })
    return true
  }

  protected get placed(): number {
    return this.inFlight.size
  }

  protected leave(): Iterable<Call<Out, Response, Failure>> {
    const calls = [...this.inFlight]
    this.inFlight.clear()
    return calls
  }

  protected requestOf({ request }: Call<Out, Response, Failure>): Out {
    return request
  }

  protected begun(call: Call<Out, Response, Failure>): void {
    this.inFlight.add(call)
  }

  protected accept(frame: In): true {
    const call = this.inFlight.first
    if (call === undefined) return this.reject("no response", frame)
    const exit = this.read(frame)
    this.inFlight.shift()
    call.settle(exit)
    return true
  }
}

/** Reads a response that a protocol tells from a failure. */
export const readWith =
  <In, Response, Failure>(response: (frame: In) => Result.Result<Response, Failure>) =>
  (frame: In): Exit.Exit<Response, Failure> => {
    const result = response(frame)
    return Result.isSuccess(result) ? Exit.succeed(result.success) : Exit.fail(result.failure)
  }
