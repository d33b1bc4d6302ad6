/* The training of word averaging: one batch at a time, forward, backward and the step of Adagrad.

   The equations are in models/labels/averaging.py. A document of n features f_i and with weight s
   in the loss has, with p the probabilities and y the labels,

       dL/dlogits = s (p - y) / w,   dL/dW = dL/dlogits h',   dL/dE[f_i] += W' dL/dlogits / n

   where w is the weight of the batch. It is read twice in a row, so that its embeddings are in the
   cache; the gradients of the batch's distinct rows stand one after another. All is added in the
   order of the documents, in one thread, so the result is the same every time. */

#include <string.h>

#include "core.h"

typedef struct {
    float *embeddings, *embedding_totals; /* E (rows, size); its sums of squared gradients (rows) */
    float *output, *output_totals;        /* W (classes, size); (classes) */
    float *bias, *bias_totals;            /* b (classes); (classes) */
    int64_t rows, size, classes;
    const int32_t *features; /* of all documents, one after another */
    const int64_t *offsets;  /* where each document's begin; documents + 1 */
    const int64_t *labels;   /* of each document; NULL where it may have several, which then are */
    const float *matrix;     /* (documents, classes): 1 for each label it has, else 0 */
    const float *weights;    /* of each document in the loss */
    int64_t documents, num_features;
    int32_t *slots;   /* (rows), all -1 between calls: where in gradients a row's is */
    int32_t *touched; /* room for the rows of a batch, */
    float *gradients; /* for their gradients, */
    int64_t room;     /* for so many of them, */
    float *work;      /* and for 2 size + classes (size + 2) numbers */
} Averaging;

static inline void ask_for(const Averaging *a, int64_t row, int64_t size) {
    PREFETCH(a->embeddings + row * size);
    PREFETCH(a->slots + row);
}

/* The log-probability of what is true of a document, from its logits, which become p - y. */
static double read_labels(const Averaging *a, int64_t document, float *logits) {
    double found = 0;
    if (a->labels) {
        float top = logits[0];
        for (int64_t c = 1; c < a->classes; c++) top = logits[c] > top ? logits[c] : top;
        double sum = 0;
        for (int64_t c = 0; c < a->classes; c++) sum += exp((double)logits[c] - top);
        double log_sum = top + log(sum);
        int64_t label = a->labels[document];
        found = logits[label] - log_sum;
        for (int64_t c = 0; c < a->classes; c++)
            logits[c] = (float)(exp(logits[c] - log_sum) - (c == label));
        return found;
    }
    for (int64_t c = 0; c < a->classes; c++) { /* Each label is a question of its own. */
        double x = logits[c], y = a->matrix[document * a->classes + c];
        found += y * x - (x > 0 ? x : 0) - log1p(exp(-fabs(x)));
        logits[c] = (float)(1 / (1 + exp(-x)) - y);
    }
    return found;
}

/* What train_averaging says. Where size is a constant, sums stay in registers. */
static inline double train(const Averaging *a, const int64_t size, const int64_t *chosen,
                           int64_t batch, double weight, float rate, float decay,
                           float epsilon, int32_t learn) {
    float *restrict hidden = a->work, *restrict back = hidden + size;
    float *restrict logits = back + size, *bias = logits + a->classes, *output = bias + a->classes;
    memset(bias, 0, (size_t)(a->classes * (size + 1)) * sizeof(float));
    int64_t touched = 0;
    double log_prob = 0;
    for (int64_t i = 0; i < batch; i++) {
        int64_t first = a->offsets[chosen[i]], last = a->offsets[chosen[i] + 1];
        const int32_t *features = a->features;
        for (int64_t k = 0; k < size; k++) hidden[k] = 0;
        for (int64_t f = first; f < last && f < first + FAR_AHEAD; f++)
            ask_for(a, features[f], size);
        for (int64_t f = first; f < last; f++) {
            if (f + FAR_AHEAD < last) ask_for(a, features[f + FAR_AHEAD], size);
            const float *restrict row = a->embeddings + features[f] * size;
            for (int64_t k = 0; k < size; k++) hidden[k] += row[k];
        }
        float share = 1 / (float)(last > first ? last - first : 1);
        for (int64_t k = 0; k < size; k++) hidden[k] *= share;
        for (int64_t c = 0; c < a->classes; c++) {
            logits[c] = a->bias[c];
            for (int64_t k = 0; k < size; k++) logits[c] += a->output[c * size + k] * hidden[k];
        }
        float counted = a->weights[chosen[i]];
        log_prob += counted * read_labels(a, chosen[i], logits);
        if (!learn) continue;
        for (int64_t k = 0; k < size; k++) back[k] = 0;
        for (int64_t c = 0; c < a->classes; c++) {
            float by_logit = (float)(logits[c] * counted / weight);
            bias[c] += by_logit;
            for (int64_t k = 0; k < size; k++) {
                output[c * size + k] += by_logit * hidden[k];
                back[k] += by_logit * a->output[c * size + k];
            }
        }
        for (int64_t k = 0; k < size; k++) back[k] *= share;
        for (int64_t f = first; f < last; f++) {
            int32_t slot = a->slots[features[f]];
            if (slot < 0) {
                a->slots[features[f]] = (int32_t)touched;
                a->touched[touched] = features[f];
                memcpy(a->gradients + touched * size, back, (size_t)size * sizeof(float));
                touched++;
            } else {
                float *restrict sum = a->gradients + slot * size;
                for (int64_t k = 0; k < size; k++) sum[k] += back[k];
            }
        }
    }
    if (!learn) return log_prob;
    for (int64_t i = 0; i < touched; i++) {
        int64_t row = a->touched[i];
        if (i + FAR_AHEAD < touched) {
            PREFETCH(a->embeddings + a->touched[i + FAR_AHEAD] * size);
            PREFETCH(a->embedding_totals + a->touched[i + FAR_AHEAD]);
        }
        adagrad_row(a->embeddings + row * size, a->embedding_totals + row, a->gradients + i * size,
                size, rate, decay, epsilon);
        a->slots[row] = -1;
    }
    for (int64_t c = 0; c < a->classes; c++) {
        adagrad_row(a->output + c * size, a->output_totals + c, output + c * size, size, rate, decay,
                epsilon);
        adagrad_row(a->bias + c, a->bias_totals + c, bias + c, 1, rate, 0, epsilon);
    }
    return log_prob;
}

/* Whether the labels and the rows of all documents are in range. */
CORE_EXPORT int32_t averaging_fits(const Averaging *a) {
    if (a->size < 1 || a->classes < 1 || a->offsets[0] < 0) return 0;
    if (a->offsets[a->documents] > a->num_features) return 0;
    for (int64_t d = 0; d < a->documents; d++) {
        if (a->offsets[d] > a->offsets[d + 1]) return 0;
        if (a->labels && (uint64_t)a->labels[d] >= (uint64_t)a->classes) return 0;
    }
    for (int64_t i = 0; i < a->num_features; i++)
        if ((uint32_t)a->features[i] >= (uint64_t)a->rows) return 0;
    return 1;
}

/* One step on the chosen documents; adds their loss before it to loss. Without learn nothing else
   changes. The same as AveragingNetwork with Adagrad, but for rounding. */
CORE_EXPORT int32_t train_averaging(const Averaging *a, const int64_t *chosen, int64_t batch,
                                    double weight, float rate, float decay, float epsilon,
                                    int32_t learn, double *loss) {
    int64_t features = 0;
    for (int64_t i = 0; i < batch; i++) {
        if ((uint64_t)chosen[i] >= (uint64_t)a->documents) return 1;
        features += a->offsets[chosen[i] + 1] - a->offsets[chosen[i]];
    }
    if (features > a->room && a->rows > a->room) return 1;
    if (a->size == 16)
        *loss -= train(a, 16, chosen, batch, weight, rate, decay, epsilon, learn);
    else
        *loss -= train(a, a->size, chosen, batch, weight, rate, decay, epsilon, learn);
    return 0;
}
