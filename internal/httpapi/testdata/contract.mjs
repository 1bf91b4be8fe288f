// The response schemas of data-model.md, as they stand there; that of the status is spelled after its
// TypeScript. The answers come on standard input: a list of {schema, answer}.
import { z } from 'zod';
import { readFileSync } from 'node:fs';

const schemas = {
  sync: z.object({
    syncedCount: z.number().int().nonnegative(),
    skippedCount: z.number().int().nonnegative(),
    errors: z.array(z.object({
      secretName: z.string(),
      scope: z.string(),
      error: z.string(),
      code: z.string(),
    })),
    correlationId: z.string().uuid(),
    durationMs: z.number().int().nonnegative(),
  }),
  validation: z.object({
    valid: z.boolean(),
    missing: z.array(z.object({
      secretName: z.string(),
      scope: z.string(),
    })),
    conflicts: z.array(z.object({
      secretName: z.string(),
      scopes: z.array(z.string()),
      valueHashes: z.record(z.string()),
    })),
    summary: z.object({
      totalSecrets: z.number().int().nonnegative(),
      missingCount: z.number().int().nonnegative(),
      conflictCount: z.number().int().nonnegative(),
      validCount: z.number().int().nonnegative(),
    }),
    remediationSteps: z.array(z.string()),
  }),
  environments: z.object({
    created: z.array(z.string()),
    updated: z.array(z.string()),
    errors: z.array(z.object({
      environment: z.string(),
      error: z.string(),
      code: z.string(),
    })),
    correlationId: z.string().uuid(),
  }),
  status: z.object({
    lastSyncAt: z.string().datetime().nullable(),
    status: z.enum(['synced', 'pending', 'error', 'never_synced']),
    pendingCount: z.number(),
    errorCount: z.number(),
    nextScheduledSyncAt: z.string().datetime().nullable(),
    quotaRemaining: z.object({ core: z.number(), secrets: z.number() }),
  }),
};

let failed = false;
for (const { name, schema, answer } of JSON.parse(readFileSync(0, 'utf8'))) {
  const parsed = schemas[schema].safeParse(answer);
  if (!parsed.success) {
    failed = true;
    console.error(name, JSON.stringify(parsed.error.issues), JSON.stringify(answer));
  }
}
process.exit(failed ? 1 : 0);
