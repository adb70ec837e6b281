/**
 * The laws of PostgreSQL's start-up by `password`, on the rungs where nothing waits.
 */
import * as Rung from "../../../../src/testing/Rung.ts"
import { laws } from "./laws.ts"

laws({ method: "password", version: "3.2", rungs: [Rung.pure, Rung.fast(Rung.simulated())] })
