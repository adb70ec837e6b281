/**
 * The laws of PostgreSQL's start-up by `scram-sha-256`, on rungs where nothing waits.
 */
import * as Rung from "../../../../src/testing/Rung.ts"
import { laws } from "./laws.ts"

laws({ method: "scram-sha-256", version: "3.2", rungs: [Rung.pure, Rung.fast(Rung.simulated())] })
