/**
 * Whether a balancer may send somebody new, as a layer, and as an HTTP answer for its health checks.
 */
import { Context, type Duration, Effect, Layer, Ref } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"

export type State = "starting" | "ready" | "leaving"

export class Readiness extends Context.Service<Readiness, Ref.Ref<State>>()("app/Readiness") {
  static readonly layer = Layer.effect(Readiness, Ref.make<State>("starting"))
}

/**
 * `ready` when all that this layer is provided with is there. When it is released it is the first to go: it says `leaving`, and
 * gives the balancer `notice` to see it while everything still serves.
 */
export const announced = (notice: Duration.Input): Layer.Layer<never, never, Readiness> =>
  Layer.effectDiscard(Effect.flatMap(Readiness, (state) =>
    Effect.acquireRelease(
      Ref.set(state, "ready"),
      () => Effect.andThen(Ref.set(state, "leaving"), Effect.sleep(notice))
    )))

/** `GET /ready`: 200 or 503, with the state in words. */
export const route = HttpRouter.add(
  "GET",
  "/ready",
  Effect.gen(function*() {
    const state = yield* Ref.get(yield* Readiness)
    return HttpServerResponse.text(`${state}\n`, { status: state === "ready" ? 200 : 503 })
  })
)
